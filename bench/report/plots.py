"""Plots by gnuplot, each as SVG and PNG. A plot is a gnuplot script over inline data."""
import subprocess

COMMON = """
set style line 1 lc rgb '#1b6ca8' lw 2 pt 7
set style line 2 lc rgb '#b5651d' lw 2 pt 5
set style line 3 lc rgb '#4a7c3a' lw 2 pt 9
set style line 4 lc rgb '#7a7a7a' lw 2 pt 13
set style line 5 lc rgb '#8e44ad' lw 2 pt 11
set style line 6 lc rgb '#c0392b' lw 2 pt 3
set grid lc rgb '#d0d0d0'
set border 3
set tics nomirror
set key top left
"""

TERMINALS = {
    "svg": "set terminal svg size {},{} font 'DejaVu Sans,13' background '#ffffff'",
    "png": "set terminal pngcairo size {},{} font 'DejaVu Sans,11' background '#ffffff'",
}


def draw(directory, name, script, size=(800, 480)):
    for kind, terminal in TERMINALS.items():
        path = f"{directory}/{name}.{kind}"
        done = subprocess.run(["gnuplot"], input=f"{terminal.format(*size)}\nset output '{path}'\n{COMMON}\n{script}\n", text=True,
                              capture_output=True)
        if done.returncode != 0 or "error" in done.stderr.lower():
            raise RuntimeError(f"gnuplot failed for {name}: {done.stderr}")
        if kind == "svg":
            without_version(path)


def without_version(path):
    """The picture of the same figures is the same file whichever gnuplot drew it, as far as that is up to us."""
    with open(path) as file:
        lines = [line for line in file if "Produced by GNUPLOT" not in line]
    with open(path, "w") as file:
        file.writelines(lines)


def rows(lines):
    return "\n".join(" ".join(str(cell) for cell in line) for line in lines)


def draw_write(results, directory):
    data = []
    for length in (16, 64, 200):
        figures = [results.figure(f"write/{what}/{length}/monotonic") for what in ("floor", "write", "reserve")]
        data.append([f'"{length} bytes"'] + [cell for f in figures for cell in (f.median, f.low, f.high)])
    draw(directory, "write", f"""
$data << EOD
{rows(data)}
EOD
set title 'One event on its own CPU'
set ylabel 'ns per event'
set yrange [0:*]
set style data histograms
set style histogram errorbars gap 1 lw 1
set style fill solid 0.85 border -1
plot $data using 2:3:4:xtic(1) title 'floor: clock and copy' ls 4, \\
     '' using 5:6:7 title 'write' ls 1, '' using 8:9:10 title 'reserve, fill, commit' ls 3
""")


def draw_callback(parts, directory):
    """`parts`: (name, ns), first to last."""
    data = [[f'"{name}"', cost] for name, cost in parts]
    draw(directory, "callback", f"""
$data << EOD
{rows(data)}
EOD
set title 'An image-load callback on the simulated kernel, by parts'
set ylabel 'ns'
set xzeroaxis
set style data histograms
set style fill solid 0.85 border -1
set boxwidth 0.8
set xtics rotate by -35
set rmargin 12
set key off
plot $data using 2:xtic(1) ls 1, '' using 0:2:(sprintf('%.1f', $2)) with labels offset 0,0.7 notitle
""")


def draw_handover(groups, limit, directory):
    """`groups`: (title, [(label, latency ns, ns per event)])."""
    blocks = "\n".join(f"$group{i} << EOD\n" + rows([[f'"{label}"', latency, each] for label, latency, each in points]) +
                       "\nEOD" for i, (_, points) in enumerate(groups))
    plots = [f"$group{i} using 2:3 with {'linespoints' if len(points) > 1 else 'points'} ls {i % 6 + 1} title '{title}'"
             for i, (title, points) in enumerate(groups)]
    labels = [f"$group{i} using 2:3:1 with labels noenhanced font ',9' offset 0,0.8 notitle" for i in range(len(groups))]
    draw(directory, "handover", f"""
{blocks}
set title 'One producer, one consumer on the other processor: cost against added latency'
set xlabel 'ns from stamp to consumption, median (saturated)'
set ylabel 'ns per event'
set logscale x
set format x '10^{{%L}}'
set yrange [0:*]
set key top right noenhanced font ',10'
set arrow 1 from graph 0, first {limit} to graph 1, first {limit} nohead lc rgb '#c0392b' dt 2
set label 1 'measured limit' at graph 0.01, first {limit} offset 0,0.5 tc rgb '#c0392b' font ',10'
plot {', '.join(plots + labels)}
""")


def draw_merge(results, directory):
    counts = sorted(int(name.split("/")[0]) for name in results.under("merge") if name.endswith("/1") and name[0] != "f")
    data = []
    for count in counts:
        cells = [count]
        for run in (1, 16):
            figure = merge_rate(results, f"merge/{count}/{run}")
            cells += [figure.median, figure.low, figure.high]
        data.append(cells)
    targets = [[1, 40], [64, 20], [256, 12]]
    draw(directory, "merge", f"""
$data << EOD
{rows(data)}
EOD
$targets << EOD
{rows(targets)}
EOD
set title 'Merge on one core'
set xlabel 'rings'
set ylabel 'million events per second'
set logscale x 2
set yrange [0:*]
set key top right
plot $data using 1:2:3:4 with yerrorlines ls 1 title 'events spread at random', \\
     '' using 1:5:6:7 with yerrorlines ls 3 title 'runs of 16', $targets using 1:2 with points ls 6 ps 1.5 title 'targets'
""")


def merge_rate(results, name):
    """Million events per second."""
    from results import Figure
    events = results.figure(name, "events").median
    return Figure([events * 1000 / time for time in results.figure(name).values])


PERCENTILES = ("p50", "p90", "p99", "p99.9", "p99.99")


def draw_tail(results, directory):
    data = [[f'"{percentile}"'] + [results.figure(f"tail/{what}/monotonic", percentile).median
                                   for what in ("floor", "write")] for percentile in PERCENTILES]
    three = 3 * results.figure("tail/write/monotonic", "p50").median
    draw(directory, "tail", f"""
$data << EOD
{rows(data)}
EOD
set title 'One write of 64 bytes'
set ylabel 'ns'
set yrange [0:*]
set xrange [-0.5:{len(PERCENTILES) - 0.5}]
set arrow 1 from graph 0, first {three} to graph 1, first {three} nohead lc rgb '#c0392b' dt 2
set label 1 'three times the median' at graph 0.01, first {three} offset 0,0.5 tc rgb '#c0392b' font ',10'
plot $data using 0:2:xtic(1) with linespoints ls 4 title 'floor: clock and copy', \\
     '' using 0:3 with linespoints ls 1 title 'write'
""")
