"""How report.html looks. Colours are told apart by lightness as well as by hue, in light and in dark."""

STYLE = """
:root{--bg:#f7f7f5;--card:#fff;--ink:#1c1f23;--soft:#5d646d;--line:#dfe1e0;--good:#1f8a4c;--bad:#c62f2f;
--moved:#c98a00;--lost:#7b4fc4;--ended:#9aa2ab;--live:#2f6fc6;--frame:#e9edf3;--frame-line:#b9c3d0;--phase:#00000007;
--mono:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
@media(prefers-color-scheme:dark){:root{--bg:#131518;--card:#1b1e22;--ink:#e8eaed;--soft:#9aa3ad;--line:#30353b;
--good:#4cc07e;--bad:#f0675f;--moved:#e3ad3c;--lost:#a98be6;--ended:#6d757e;--live:#6aa5f0;--frame:#262b32;
--frame-line:#47505b;--phase:#ffffff07}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;
overflow-wrap:anywhere}
main{max-width:1080px;margin:0 auto;padding:28px 20px 60px}
h1{font-size:26px;margin:0;letter-spacing:-.01em}h2{font-size:17px;margin:0 0 12px}h3{font-size:15px;margin:0}
p{margin:0}dl{margin:0}dt{color:var(--soft)}dd{margin:0}small{color:var(--soft);font-weight:400}
section{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:18px 20px;margin-top:18px}
header{position:relative;padding-left:16px;border-left:6px solid var(--good)}
.failed header{border-color:var(--bad)}
.verdict{font-weight:700;font-size:15px;letter-spacing:.06em;text-transform:uppercase;color:var(--good)}
.failed .verdict{color:var(--bad)}
.when{color:var(--soft)}
.facts{display:flex;flex-wrap:wrap;gap:6px 30px;margin-top:14px}
.facts dt{font-size:12.5px}.facts dd{font-size:17px;font-weight:600}
.wrong{border-color:var(--bad)}.wrong article+article{margin-top:16px;padding-top:16px;border-top:1px solid var(--line)}
.wrong h3 small{color:var(--bad);margin-left:6px}
.what{color:var(--soft)}
pre{margin:10px 0 0;padding:12px;background:var(--bg);border:1px solid var(--line);border-radius:8px;
font:12.5px/1.5 var(--mono);white-space:pre-wrap;max-height:420px;overflow:auto}
code{font:12.5px var(--mono)}
.legend{display:flex;flex-wrap:wrap;gap:4px 16px;font-size:13px;color:var(--soft);margin-bottom:10px}
.legend i{display:inline-block;width:12px;height:9px;border-radius:2px;margin-right:6px}
i.frame{background:var(--frame);border:1px solid var(--frame-line)}
i.good{background:var(--good)}i.bad{background:var(--bad)}i.moved{background:var(--moved)}
i.lost{background:var(--lost)}i.ended{background:var(--ended)}
svg.timeline{display:block;overflow:visible}
svg text{font:11px system-ui,sans-serif;fill:var(--soft)}
svg .label{fill:var(--ink)}svg .phase-name{font-weight:600}
svg .phase{fill:transparent}svg .phase.p1{fill:var(--phase)}
svg .grid{stroke:var(--line);stroke-dasharray:2 3}
svg .frame{fill:var(--frame);stroke:var(--frame-line)}svg .frame.controller{fill:var(--live);stroke:none;opacity:.45}
svg .good{fill:var(--good)}svg .bad{fill:var(--bad)}svg .moved{fill:var(--moved)}svg .lost{fill:var(--lost)}
svg .ended{fill:var(--ended)}svg .live{fill:var(--live)}
svg .fault line{stroke:var(--bad);stroke-dasharray:4 3}svg .fault circle{fill:var(--bad)}
svg .fault text{fill:var(--card);font-weight:700;font-size:9.5px}
.faults{margin:14px 0 0;padding-left:24px;font-size:14px}.faults b{font-weight:600}
.cases{list-style:none;margin:0;padding:0}
.cases li{display:grid;grid-template-columns:24px 1fr 190px;gap:0 10px;padding:12px 0;border-top:1px solid var(--line)}
.cases li:first-child{border-top:0;padding-top:0}
.icon{font-weight:700;color:var(--good)}.bad .icon,.told{color:var(--bad)}.skip .icon,.skip .told{color:var(--soft)}
.cases dl{margin-top:6px;font-size:13px}.cases dl div{display:flex;gap:8px}
.cases dt{flex:none}.cases dt::after{content:":"}.cases dd{font-family:var(--mono);font-size:12.5px;min-width:0}
.time{text-align:right;font-variant-numeric:tabular-nums}.time b{font-weight:500}
.track{display:block;height:6px;border-radius:3px;background:var(--frame);margin-top:6px;overflow:hidden}
.track span{display:block;height:100%;background:var(--good);border-radius:3px}.bad .track span{background:var(--bad)}
.path{font-variant-numeric:tabular-nums}
.environment{display:grid;grid-template-columns:repeat(auto-fill,minmax(300px,1fr));gap:4px 24px;font-size:14px}
.environment div{display:flex;gap:8px}.environment dt{flex:none;min-width:86px}
@media(max-width:640px){svg .tight{display:none}main{padding:16px 10px 40px}section{padding:14px 12px}
.cases li{grid-template-columns:20px 1fr}.time{grid-column:2;display:flex;align-items:center;gap:10px;margin-top:6px}
.time .track{flex:1;margin:0}.cases dl div{display:block}.environment{grid-template-columns:1fr}}
"""
