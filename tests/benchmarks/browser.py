# SPDX-License-Identifier: Apache-2.0
"""Pictures a second that arrive in a browser while a run plays, by the number of particles.

Needs Chromium and Playwright. Server and browser share this machine's cores, and the browser draws
without a GPU, so a browser elsewhere does better. Run: python tests/benchmarks/browser.py
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from typing import Any

from playwright.sync_api import sync_playwright

SERVED = """
import sys
from types import SimpleNamespace
import numpy as np
from rheograd.viewer import serve
n = int(sys.argv[1])
x = np.random.default_rng(0).uniform(0.3, 0.7, (n, 3)).astype(np.float32)
x = x * np.linspace(1, 1.3, 61, dtype=np.float32)[:, None, None]
run = SimpleNamespace(x=x, time=np.linspace(0, 2, 61), metadata={"domain": "[[0,0,0],[1,1,1]]"})
print("ready", flush=True)
serve(run, open_browser=False, ready=lambda url: print(url, flush=True))
"""
COUNT = """(seconds) => new Promise((done) => {
  const image = document.querySelector(".picture img"), start = performance.now();
  let count = 0;
  const onload = () => { count += 1; };
  image.addEventListener("load", onload);
  setTimeout(() => {
    image.removeEventListener("load", onload);
    done(count / (performance.now() - start) * 1000);
  }, 1000 * seconds);
})"""
ANSWER = """() => new Promise((done) => {
  const image = document.querySelector(".picture img"), start = performance.now();
  image.addEventListener("load", () => done(performance.now() - start), {once: true});
  document.querySelector("#on").click();
})"""


def measure(browser: Any, count: int, size: tuple[int, int], seconds: float) -> str:
    """Pictures a second, and the time from a click to the picture that answers it."""
    words = [sys.executable, "-c", SERVED, str(count)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        server.stdout.readline()
        url = server.stdout.readline().strip()
        page = browser.new_page(viewport={"width": size[0], "height": size[1]})
        page.goto(url)
        page.wait_for_selector(".picture img[src]", timeout=120_000)
        page.wait_for_timeout(1500)
        rate = page.evaluate(COUNT, seconds)
        page.click("#play")
        answers = []
        for _ in range(9):
            page.wait_for_timeout(700)
            answers.append(page.evaluate(ANSWER))
        remark = page.locator(".remark")
        thinned = f"; {remark.inner_text()}" if remark.count() else ""
        page.close()
        server.terminate()
    delay = f"{sorted(answers)[len(answers) // 2]:4.0f} ms to an answer"
    return f"{count:8d} particles: {rate:5.1f} pictures a second, {delay}{thinned}"


def main() -> None:
    """Print a line for each number of particles."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--particles", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--size", type=int, nargs=2, default=[1280, 720])
    parser.add_argument("--seconds", type=float, default=8.0)
    found = parser.parse_args()
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for count in found.particles:
            print(measure(browser, count, tuple(found.size), found.seconds), flush=True)
        browser.close()


if __name__ == "__main__":
    main()
