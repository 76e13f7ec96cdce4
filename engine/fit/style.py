# SPDX-License-Identifier: Apache-2.0
"""How report.html looks, on a screen and on paper."""

STYLE_SHEET = """
:root {
  color-scheme: light;
  --ink: #1b2733; --muted: #5a6875; --rule: #dfe5ea; --soft: #f4f7f9; --accent: #0072b2;
  --good: #00694e; --warn: #9a4a00; --warn-soft: #fdf3e7;
}
* { box-sizing: border-box; }
body {
  margin: 0; background: #fff; color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue",
    "Liberation Sans", Arial, sans-serif;
}
main { max-width: 62rem; margin: 0 auto; padding: 3rem 1.5rem 4rem; }
.kicker { margin: 0; color: var(--muted); font-size: .9rem; }
h1 {
  margin: .4rem 0 1rem; font-size: 1.9rem; line-height: 1.25; letter-spacing: -.01em;
  font-weight: 650; overflow-wrap: anywhere; text-wrap: balance;
}
h2 { margin: 3rem 0 .5rem; font-size: 1.25rem; line-height: 1.3; font-weight: 650; }
h3 { margin: 0 0 .3rem; font-size: 1rem; font-weight: 600; }
p { margin: .5rem 0; max-width: 46rem; }
.lede { font-size: 1.1rem; color: #33424f; }
.muted, figcaption { color: var(--muted); font-size: .9rem; }
.cards {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .9rem;
  margin: 1.8rem 0 0; padding: 0; list-style: none;
}
.cards li { background: var(--soft); border-radius: .6rem; padding: .9rem 1.1rem; }
.cards b {
  display: block; font-size: 1.55rem; line-height: 1.25; font-weight: 650;
  font-variant-numeric: tabular-nums; white-space: nowrap;
}
.cards span { color: var(--muted); font-size: .88rem; line-height: 1.4; display: block; }
.notes {
  margin: 1.6rem 0 0; padding: .7rem 1.1rem; border-left: 4px solid #d98324;
  background: var(--warn-soft); border-radius: 0 .6rem .6rem 0;
}
.notes.mild { border-left-color: var(--rule); background: var(--soft); }
.notes ul { margin: .2rem 0; padding-left: 1.1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin: .9rem 0 .4rem; font-size: .95rem; }
th, td { text-align: left; padding: .5rem .9rem .5rem 0; vertical-align: top; }
thead th { color: var(--muted); font-weight: 500; font-size: .85rem; vertical-align: bottom; }
thead tr { border-bottom: 1.5px solid var(--ink); }
tbody tr { border-bottom: 1px solid var(--rule); }
tbody th { font-weight: 600; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.words { min-width: 12rem; }
td.said { white-space: nowrap; }
td.main { font-weight: 650; }
.tag { display: block; font-size: .85rem; font-weight: 400; color: var(--muted); }
.good { color: var(--good); } .warn { color: var(--warn); font-weight: 600; }
.strip { display: block; width: 9rem; height: 1.6rem; overflow: visible; }
table.square { width: auto; } table.square td, table.square th { padding: .35rem .8rem; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(24rem, 1fr)); gap: 2rem; }
.grid { margin-top: 1.2rem; }
figure { margin: 0; break-inside: avoid; }
figure svg, figure img { display: block; width: 100%; height: auto; }
figure img { border-radius: .5rem; border: 1px solid var(--rule); }
figcaption { margin-top: .4rem; }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.8rem; margin: .9rem 0; padding: 0; }
.legend li { list-style: none; display: flex; align-items: center; gap: .6rem; font-size: .95rem; }
.legend svg { width: 2.6rem; height: .8rem; }
pre {
  background: var(--soft); border-radius: .5rem; padding: .8rem 1rem; margin: .5rem 0 1rem;
  white-space: pre-wrap; overflow-wrap: anywhere; font-size: .88rem; line-height: 1.5;
}
pre, code { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.5rem; margin: .6rem 0; }
dl { font-size: .92rem; } dt { color: var(--muted); } dd { margin: 0; overflow-wrap: anywhere; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(22rem, 1fr)); gap: 0 3rem; }
footer { margin-top: 3rem; border-top: 1px solid var(--rule); padding-top: 1rem; }
@media (max-width: 34rem) {
  main { padding: 1.5rem 1rem 3rem; } h1 { font-size: 1.5rem; }
  .grid, .pair { grid-template-columns: 1fr; }
}
@media print {
  @page { margin: 15mm; }
  html { font-size: 11.5px; }
  main { max-width: none; padding: 0; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  h2 { margin-top: 2rem; }
  h2, h3, h2 + p, .legend, thead { break-after: avoid; }
  .grid { grid-template-columns: 1fr 1fr; gap: 1rem 1.5rem; }
  .cards { grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); }
  .cards b { font-size: 1.35rem; }
  .scroll { overflow: visible; } th, td { padding-right: .7rem; }
  .strip { width: 7rem; }
  tr, table.square, .cards, pre, .notes, dl { break-inside: avoid; }
}
"""
