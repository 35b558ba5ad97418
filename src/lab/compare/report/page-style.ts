/** How a report's page looks, light and dark. */
export const style = `
:root {
  --paper: #fdfdfb; --ink: #1d2126; --muted: #5b6470; --grid: #e3e5e3; --line: #cfd4d2; --card: #ffffff;
  --good: #0a6b47; --bad: #b3261e; --mark: #b3261e; --warn: #fff4d6;
  --series-1: #0072b2; --series-2: #d55e00; --series-3: #008a63; --series-4: #b34d8d; --series-5: #a97800; --series-6: #3a8fb7; --series-7: #555b63; --series-8: #7a2f2f;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171a; --ink: #e8eaed; --muted: #a2abb5; --grid: #2a3036; --line: #3a424a; --card: #1b1f23;
    --good: #5fd3a3; --bad: #ff8a80; --mark: #ff8a80; --warn: #3a3016;
    --series-1: #56b4e9; --series-2: #ff9352; --series-3: #35c79a; --series-4: #e59ac6; --series-5: #f0c648; --series-6: #9fd6f2; --series-7: #b4bcc6; --series-8: #d9a0a0;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 76rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { margin: 0; font-size: 1.9rem; }
h2 { margin: 2.2rem 0 .6rem; font-size: 1.15rem; }
.question { margin: .3rem 0 1rem; color: var(--muted); font-size: 1.1rem; max-width: 60rem; }
.warning { background: var(--warn); border: 1px solid var(--line); padding: .5rem .8rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 34rem), 1fr)); gap: 1rem; margin-top: 1.5rem; }
figure { margin: 0; padding: .8rem; background: var(--card); border: 1px solid var(--line); min-width: 0; }
figcaption { font-weight: 600; margin-bottom: .4rem; }
.chart { width: 100%; }
.u-legend { color: var(--ink); font-size: .85rem; }
.u-legend .u-marker { width: .9em; height: .9em; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
.scroll th, .scroll td { padding: .25rem .9rem .25rem 0; text-align: left; font-weight: 400; border-bottom: 1px solid var(--grid); white-space: nowrap; }
.scroll thead th { color: var(--muted); }
.scroll td { white-space: normal; }
.met { color: var(--good); font-weight: 600; }
.missed { color: var(--bad); font-weight: 600; }
li { margin: .3rem 0; max-width: 60rem; }
`;
