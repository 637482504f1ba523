"""The page's style sheet. Every pair of text and background has at least 4.5:1 contrast."""

STYLE = """
:root {
  color-scheme: light dark;
  --ground: #ffffff; --raised: #f6f7f9; --ink: #1f2430; --muted: #59616f; --grid: #d5dae1;
  --shade: #eef1f5; --link: #0b57a0; --notice: #fff4d6; --notice-edge: #b07a00;
  --series-1: #0b61a4; --series-2: #c2570c; --series-3: #00796b; --series-4: #a8327d;
  --series-5: #6b7000; --series-6: #b3261e; --series-7: #5e4bb6; --series-8: #7a5230;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #14171d; --raised: #1c2129; --ink: #e7eaf0; --muted: #a4adbb; --grid: #343c48;
    --shade: #20262f; --link: #86bfff; --notice: #372c10; --notice-edge: #d9a92f;
    --series-1: #6cb6ff; --series-2: #ffab70; --series-3: #4fd1b8; --series-4: #f29ad0;
    --series-5: #cdd15e; --series-6: #ff8a80; --series-7: #b9a9ff; --series-8: #d9b48f;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; max-width: 74rem; padding: 1.5rem clamp(1rem, 4vw, 2.5rem) 4rem;
  background: var(--ground); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
  overflow-wrap: anywhere;
}
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .75rem; }
h2 { font-size: 1.25rem; margin: 0 0 .75rem; scroll-margin-top: 1rem; }
section { margin-top: 2.75rem; }
p { margin: 0 0 .75rem; max-width: 48rem; }
a { color: var(--link); }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
main:focus { outline: none; }
.skip { position: absolute; left: -200vw; }
.skip:focus { left: 1rem; top: .5rem; padding: .5rem 1rem; background: var(--raised); z-index: 1; }
nav ul { list-style: none; margin: 0; padding: 0 0 .75rem; display: flex; flex-wrap: wrap;
  gap: .25rem 1.25rem; border-bottom: 1px solid var(--grid); }
nav a { display: inline-block; padding: .2rem 0; }
.notice { padding: .5rem .75rem; background: var(--notice);
  border-left: 4px solid var(--notice-edge); }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 10rem), 1fr));
  gap: .75rem; margin: 0; }
@media (min-width: 48rem) {
  .cards { grid-template-columns: repeat(auto-fill, minmax(13.5rem, 1fr)); }
}
.cards > div { background: var(--raised); border-radius: .5rem; padding: .75rem 1rem; }
.cards dt { font-weight: 600; }
.cards dd { margin: 0; color: var(--muted); font-size: .875rem; }
.cards dd.figure { color: var(--ink); font-size: 1.6rem; font-weight: 600; line-height: 1.3;
  font-variant-numeric: tabular-nums; }
abbr { text-decoration: none; }
/* Shadows at the edges where a table goes on; the first two layers cover them at its ends. */
.scroll { overflow-x: auto; max-width: 100%; margin: 0 0 1rem; background:
  linear-gradient(to right, var(--ground) 40%, transparent) 0 0 / 3rem 100% no-repeat local,
  linear-gradient(to left, var(--ground) 40%, transparent) 100% 0 / 3rem 100% no-repeat local,
  linear-gradient(to right, var(--grid), transparent) 0 0 / 1rem 100% no-repeat scroll,
  linear-gradient(to left, var(--grid), transparent) 100% 0 / 1rem 100% no-repeat scroll; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9375rem;
  overflow-wrap: normal; }
table + p, .scroll + p { margin-top: .75rem; }
caption { text-align: left; color: var(--muted); padding: 0 0 .35rem; }
th, td { padding: .35rem .75rem; text-align: right; border-bottom: 1px solid var(--grid);
  vertical-align: top; }
thead th { white-space: nowrap; font-weight: 600; vertical-align: bottom;
  border-bottom-color: var(--muted); }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
.words, #plan ~ .scroll th, #plan ~ .scroll td { text-align: left; }
tbody th { font-weight: 400; min-width: min(12rem, 40vw); max-width: 20rem;
  overflow-wrap: anywhere; }
td { white-space: nowrap; }
td.words, #plan ~ .scroll td { white-space: normal; }
#plan ~ .scroll tbody th { min-width: 0; }
.confusion tbody th { min-width: 7rem; }
.confusion td { text-align: center; min-width: 3.25rem; border: 1px solid var(--ground); }
.confusion thead th { text-align: center; max-width: 9rem; white-space: normal; }
.confusion thead th:first-child { text-align: left; }
.confusion .right { font-weight: 600; background:
  color-mix(in srgb, var(--series-1) calc(var(--share) * 45% + 3%), var(--ground)); }
.confusion .wrong { background:
  color-mix(in srgb, var(--series-2) calc(var(--share) * 45%), var(--ground)); }
.charts { display: grid; gap: 1.5rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 21rem), 1fr)); }
figure { margin: 0; }
.chart { min-width: 0; margin-bottom: 1rem; }
.chart h3 { font-size: 1rem; margin: 0 0 .25rem; }
.chart figure > svg { display: block; width: 100%; height: auto; max-width: 32rem; }
.chart figcaption { font-size: .875rem; color: var(--muted); margin-top: .35rem; }
.beside { display: flex; flex-wrap: wrap; gap: 0 3.5rem; align-items: flex-start; }
.beside > .chart { flex: 0 1 28rem; }
.chart svg text { font-family: inherit !important; }
.keys { list-style: none; margin: .25rem 0 0; padding: 0; display: flex; flex-wrap: wrap;
  gap: .15rem 1.1rem; font-size: .875rem; }
.keys .end { white-space: nowrap; }
.keys svg { width: 1.5rem; height: .4rem; margin-right: .4rem; vertical-align: middle; }
details { margin-top: 1rem; }
summary { cursor: pointer; color: var(--link); margin-bottom: .5rem; }
.mistakes { list-style: none; margin: 0; padding: 0; display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 15rem), 1fr)); }
.mistakes li { background: var(--raised); border-radius: .5rem; padding: .75rem; }
.mistakes img { display: block; width: 100%; height: 11rem; object-fit: contain;
  background: var(--shade); border-radius: .25rem; margin-bottom: .5rem; }
.mistakes .pictures { display: grid; grid-template-columns: 1fr 1fr; gap: .5rem; }
.mistakes .pictures img { height: auto; image-rendering: pixelated; }
.mistakes figure { margin: 0 0 .25rem; }
.mistakes figcaption { color: var(--muted); font-size: .8125rem; }
.mistakes blockquote { margin: 0 0 .5rem; padding-left: .75rem; border-left: 3px solid var(--grid);
  white-space: pre-wrap; }
.mistakes p { margin: 0; font-size: .9375rem; }
.mistakes .where { color: var(--muted); font-size: .8125rem; margin-bottom: .25rem; }
@media print { nav, .skip { display: none; } section { break-inside: avoid; } }
"""
