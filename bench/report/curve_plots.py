"""The pictures of the drop curve."""
from plots import draw, rows

LATENCIES = ("p50", "p90", "p99", "p99.9", "p99.99")
PANELS = (("running", "consumer running"), ("slow", "slow: takes half"), ("stalled_10ms", "stalled for 10 ms"),
          ("stalled_100ms", "stalled for 100 ms"))
LINES = ("sluice", "mapping", "port", "ioctl", "locked_list", "queued_lock_ring", "lttng_ust")


def draw_all(curve, ring, directory):
    draw_rates(curve, ring, directory)
    draw_drops(curve, directory)
    draw_latency(curve, directory)


def titles():
    from curve import DESIGNS
    return DESIGNS


def draw_rates(curve, ring, directory):
    from curve import drop_share, middle, reached
    blocks, panels = [], []
    for panel, (consumer, title) in enumerate(PANELS):
        lines = []
        for number, design in enumerate(LINES):
            cells = sorted(curve.of("cell", ring=ring, consumer=consumer, shape="steady", design=design), key=lambda cell: cell["rate"])
            if not cells:
                continue
            runs = [middle([cell for cell in cells if cell["rate"] == rate]) for rate in dict.fromkeys(cell["rate"] for cell in cells)]
            points = [[reached(cell) / 1e6, 100 * drop_share(cell)] for cell in runs]
            name = f"$p{panel}_{number}"
            blocks.append(f"{name} << EOD\n{rows(points)}\nEOD")
            lines.append(f"{name} using 1:2 with linespoints ls {number + 1} title '{titles()[design]}'")
        if lines:
            key = "set key at screen 0.5, screen 0.07 center center vertical maxrows 2 font ',9'" if panel == 0 else "set key off"
            panels.append(f"{key}\nset title '{title}'\nplot {', '.join(lines)}")
    draw(directory, "drop_rate", "\n".join(blocks) + f"""
set style line 7 lc rgb '#222222' lw 2 pt 8
set multiplot layout 2,2 margins 0.07,0.98,0.2,0.95 spacing 0.09,0.13
set logscale x
set yrange [-2:102]
set xrange [0.08:60]
set xlabel 'million events/s offered'
set ylabel '% dropped'
""" + "\n".join(panels) + "\nunset multiplot", (1000, 800))


def timelines(curve):
    """At most four: ours in process and over the mapping, by consumer."""
    found = [cell for cell in curve.of("cell", shape="steady") if cell.get("waiting") and cell["design"] in ("sluice", "mapping")]
    return found[:4]


def draw_drops(curve, directory):
    blocks, panels = [], []
    for panel, cell in enumerate(timelines(curve)):
        ring = cell["ring"]
        blocks.append(f"$w{panel} << EOD\n" + rows([[time / 1e6, 100 * waiting / ring] for time, waiting in cell["waiting"]]) + "\nEOD")
        shapes = ["unset object"]
        shapes += [f"set object rectangle from {begin / 1e6}, graph 0 to {end / 1e6}, graph 1 fc rgb '#dddddd' fs solid 1 noborder behind"
                   for begin, end in cell["stalls"]]
        # An interval is drawn at least as wide as a line.
        shapes += [f"set object rectangle from {begin / 1e6}, 101 to {max(end, begin + cell['length'] // 400) / 1e6}, 110 "
                   "fc rgb '#c0392b' fs solid 1 noborder front" for begin, end, _, _ in cell["drops"]]
        panels.append("\n".join(shapes) + f"""
set title "{titles()[cell['design']]}, {cell['rate'] / 1e6:g} M/s, ring of {ring >> 10} KiB, {dict(PANELS)[cell['consumer']]}" font ',9'
plot $w{panel} using 1:2 with lines ls 1 title 'waiting in the ring'""")
    if not panels:
        return
    draw(directory, "drops", "\n".join(blocks) + """
set multiplot layout 2,2 title 'grey: the consumer sleeps; red: an interval of drops'
set key off
set yrange [0:112]
set ytics (0, 25, 50, '87.5 (full)' 87.5)
set xlabel 'ms'
set ylabel '% of the ring not given back'
""" + "\n".join(panels) + "\nunset multiplot", (1000, 800))


def draw_latency(curve, directory):
    transports = curve.values("latency", "transport", **{"from": "callback"})
    if not transports:
        return
    data = []
    for each in LATENCIES:
        data.append([f'"{each}"'] + [curve.of("latency", transport=transport, **{"from": "callback"})[0][each] / 1000 for transport in transports])
    plots = [f"{'$data' if i == 0 else chr(39) * 2} using 0:{i + 2}{':xtic(1)' if i == 0 else ''} with linespoints ls {i + 1} "
             f"title '{titles()[transport]}'" for i, transport in enumerate(transports)]
    draw(directory, "latency", f"""
$data << EOD
{rows(data)}
EOD
set title 'From the callback to a client in another process'
set ylabel 'us'
set logscale y
set xrange [-0.5:{len(LATENCIES) - 0.5}]
plot {', '.join(plots)}
""")
