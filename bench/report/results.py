"""One run of sluice_bench: loading, keeping, and what can be said of it.

The kept form is small: for each benchmark and figure the values of all repetitions, in the order of the repetitions.
"""
import json
import math
import random
import statistics


class Figure:
    """The repetitions of one figure: median, and a 95 % confidence interval of the median."""

    def __init__(self, values):
        if not values:
            raise ValueError("a figure without values")
        self.values = list(values)
        self.median = statistics.median(self.values)
        self.low, self.high = median_interval(self.values)

    def scaled(self, factor):
        return Figure([value * factor for value in self.values])


def median_interval(values, confidence=0.95):
    """From order statistics, without an assumption about the distribution: the narrowest pair of ranks, the same from both
    ends, between which the median lies with at least that confidence (all of it, if there are too few values)."""
    ordered = sorted(values)
    count = len(ordered)
    missed = (1 - confidence) / 2
    tail = 0.0
    rank = 0
    while rank < count // 2:
        tail += math.comb(count, rank) / 2**count
        if tail > missed:
            break
        rank += 1
    rank = max(rank, 1)
    return ordered[rank - 1], ordered[count - rank]


class Combination:
    """A ratio or a difference of two medians; the interval by bootstrap over both sides' repetitions."""

    def __init__(self, one, other, combine, rounds=2000):
        self.median = combine(one.median, other.median)
        chance = random.Random(1)
        drawn = sorted(combine(statistics.median(chance.choices(one.values, k=len(one.values))),
                               statistics.median(chance.choices(other.values, k=len(other.values))))
                       for _ in range(rounds))
        self.low = drawn[int(0.025 * rounds)]
        self.high = drawn[int(0.975 * rounds) - 1]


def ratio(one, other):
    return Combination(one, other, lambda a, b: a / b)


def difference(one, other):
    return Combination(one, other, lambda a, b: a - b)


# What google-benchmark says of its own about each repetition.
NOT_FIGURES = {"name", "family_index", "per_family_instance_index", "run_name", "run_type", "repetitions",
               "repetition_index", "threads", "iterations", "real_time", "cpu_time", "time_unit", "error_occurred",
               "error_message", "others_took", "processors_had"}


def compact(raw):
    """google-benchmark's JSON in the kept form. The time per iteration is the figure `time`, nanoseconds."""
    failed = [entry["name"] for entry in raw["benchmarks"] if entry.get("error_occurred")]
    if failed:
        raise ValueError("benchmarks failed: " + ", ".join(sorted(set(failed))))
    kept = {}
    others = had = 0.0
    for entry in sorted((e for e in raw["benchmarks"] if e["run_type"] == "iteration"),
                        key=lambda e: e["repetition_index"]):
        figures = kept.setdefault(entry["run_name"].split("/iterations:")[0], {})
        if entry["time_unit"] != "ns":
            raise ValueError(f"{entry['name']}: time in {entry['time_unit']}")
        figures.setdefault("time", []).append(shortened(entry["real_time"]))
        others += entry["others_took"]
        had += entry["processors_had"]
        for name, value in entry.items():
            if name not in NOT_FIGURES:
                figures.setdefault(name, []).append(shortened(value))
    context = {name: value for name, value in raw["context"].items()
               if name not in ("executable", "host_name", "library_build_type")}
    context["taken by others"] = f"{max(0.0, 100 * others / had):.1f} %"
    return {"context": context, "benchmarks": dict(sorted(kept.items()))}


def shortened(value):
    return float(f"{value:.5g}")


def write(kept, path):
    """One benchmark a line."""
    with open(path, "w") as file:
        file.write('{\n"context": ' + json.dumps(kept["context"], indent=1) + ',\n"benchmarks": {\n')
        file.write(",\n".join(f" {json.dumps(name)}: {json.dumps(figures, separators=(',', ':'))}"
                              for name, figures in kept["benchmarks"].items()))
        file.write("\n}\n}\n")


SAME_PLACEMENT = 1.6  # round trips that differ by more were made between processors in different places


class Results:
    def __init__(self, kept):
        self.context = kept["context"]
        self.benchmarks = kept["benchmarks"]

    @staticmethod
    def load(path):
        with open(path) as file:
            return Results(json.load(file))

    def has(self, name):
        return name in self.benchmarks

    def on_two_processors(self):
        return any("round_trip" in figures for figures in self.benchmarks.values())

    def figure(self, name, figure="time"):
        return Figure(self.benchmarks[name][figure])

    def under(self, prefix):
        """Names that begin with `prefix/`, without it."""
        return [name[len(prefix) + 1:] for name in self.benchmarks if name.startswith(prefix + "/")]

    def repetitions(self):
        return max(len(values) for figures in self.benchmarks.values() for values in figures.values())

    def round_trips(self):
        return sorted(value for figures in self.benchmarks.values() for value in figures.get("round_trip", []))

    def placements(self):
        """The run's repetitions on two processors, by where the host had put these: [(share, Results)], the most frequent
        first. Only one, unless the round trips fall apart in two groups with repetitions of every benchmark in both."""
        trips = self.round_trips()
        near, far = trips[len(trips) // 10], trips[-1 - len(trips) // 10]
        border = math.sqrt(near * far)
        if far / near <= SAME_PLACEMENT:
            return [(1.0, self)]
        parts = [(sum(chosen(trip) for trip in trips) / len(trips), self.only(chosen))
                 for chosen in (lambda trip: trip < border, lambda trip: trip >= border)]
        parts = sorted((part for part in parts if part[1] is not None), key=lambda part: -part[0])
        return parts or [(1.0, self)]

    def only(self, chosen):
        """What was measured while `chosen(round trip)`; None if that leaves a benchmark without repetitions."""
        benchmarks = {}
        for name, figures in self.benchmarks.items():
            if "round_trip" in figures:
                keep = [chosen(trip) for trip in figures["round_trip"]]
                if not any(keep):
                    return None
                figures = {figure: [value for value, kept in zip(values, keep) if kept]
                           for figure, values in figures.items()}
            benchmarks[name] = figures
        return Results({"context": self.context, "benchmarks": benchmarks})
