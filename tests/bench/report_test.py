#!/usr/bin/env python3
"""The report of a benchmark run: what it keeps, what it says of repetitions, and that the page comes out whole.

Usage: report_test.py RAW_JSON CURVE, the outputs of `sluice_bench --check --json RAW_JSON` and `sluice_curve --check --output CURVE`.
"""
import copy
import json
import os
import re
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../bench/report"))
import curve as drop_curve
import handover
import page
import results
import targets
from markdown import number

RAW = sys.argv.pop(1)
CURVE = sys.argv.pop(1)


def raw_run():
    with open(RAW) as file:
        return json.load(file)


TWO_PROCESSORS = results.Results(results.compact(raw_run())).on_two_processors()


class Statistics(unittest.TestCase):
    def test_the_interval_of_a_median_is_that_of_the_binomial_distribution(self):
        # For 41 values, 95 %: ranks 14 and 28. For 9: 2 and 8. Too few: all of them.
        self.assertEqual(results.median_interval(range(1, 42)), (14, 28))
        self.assertEqual(results.median_interval(range(1, 10)), (2, 8))
        self.assertEqual(results.median_interval([3, 1, 2]), (1, 3))
        self.assertEqual(results.median_interval([5]), (5, 5))

    def test_the_order_of_the_values_does_not_matter(self):
        self.assertEqual(results.median_interval([9, 1, 8, 2, 7, 3, 6, 4, 5]), (2, 8))

    def test_a_ratio_holds_the_true_one_inside_its_interval_and_widens_with_the_spread(self):
        narrow = results.ratio(results.Figure([99, 100, 101] * 5), results.Figure([49, 50, 51] * 5))
        wide = results.ratio(results.Figure([60, 100, 140] * 5), results.Figure([30, 50, 70] * 5))
        self.assertEqual(narrow.median, 2)
        self.assertLessEqual(narrow.low, 2)
        self.assertGreaterEqual(narrow.high, 2)
        self.assertGreater(wide.high - wide.low, narrow.high - narrow.low)

    def test_numbers_have_three_significant_digits(self):
        self.assertEqual([number(v) for v in (0.5, 1.234, 12.34, 123.4, 1234, -0.123)],
                         ["0.50", "1.23", "12.3", "123", "1234", "-0.12"])


class Kept(unittest.TestCase):
    def test_every_benchmark_and_every_repetition_is_kept(self):
        raw = raw_run()
        kept = results.compact(raw)
        names = {entry["run_name"].split("/iterations:")[0] for entry in raw["benchmarks"]}
        self.assertEqual(names, set(kept["benchmarks"]))
        for name, figures in kept["benchmarks"].items():
            self.assertTrue(figures, name)

    def test_repetitions_stay_in_their_order(self):
        raw = raw_run()
        raw["benchmarks"] = [dict(entry, repetition_index=index, real_time=float(index + 1))
                             for entry in raw["benchmarks"] if entry["run_name"].startswith("write/write/64/monotonic")
                             for index in (2, 0, 1)]
        self.assertEqual(results.compact(raw)["benchmarks"]["write/write/64/monotonic"]["time"], [1, 2, 3])

    def test_a_run_in_which_a_benchmark_failed_is_refused(self):
        raw = raw_run()
        raw["benchmarks"][3]["error_occurred"] = True
        with self.assertRaisesRegex(ValueError, re.escape(raw["benchmarks"][3]["name"])):
            results.compact(raw)

    def test_what_others_took_of_the_machine_is_told(self):
        raw = raw_run()
        for entry in raw["benchmarks"]:
            entry.update(others_took=0.5, processors_had=2)
        self.assertEqual(results.compact(raw)["context"]["taken by others"], "25.0 %")

    def test_what_was_written_is_what_is_read(self):
        kept = results.compact(raw_run())
        with tempfile.TemporaryDirectory() as directory:
            results.write(kept, directory + "/run.json")
            self.assertEqual(results.Results.load(directory + "/run.json").benchmarks, kept["benchmarks"])


def measured_curve():
    return drop_curve.Curve.load(CURVE)


def make(directory, kept, curve=None):
    path = directory + "/benchmarks.md"
    page.make_page(results.Results(kept), curve or measured_curve(), path)
    with open(path) as file:
        return file.read()


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.run_kept = results.compact(raw_run())
        cls.directory = tempfile.TemporaryDirectory()
        cls.text = make(cls.directory.name, cls.run_kept)

    @classmethod
    def tearDownClass(cls):
        cls.directory.cleanup()

    def setUp(self):
        self.kept = copy.deepcopy(self.run_kept)

    def test_the_page_shows_every_picture_it_names(self):
        pictures = re.findall(r"\]\((benchmarks/\S+\.(?:svg|png))\)", self.text)
        self.assertGreaterEqual(len(pictures), 8)
        for picture in pictures:
            with open(f"{self.directory.name}/{picture}", "rb") as file:
                start = file.read(200)
            self.assertTrue(start.startswith(b"\x89PNG") or b"<svg" in start, picture)

    def test_every_link_inside_the_page_has_its_heading(self):
        headings = {re.sub(r"[^a-z0-9 -]", "", line.lstrip("# ").lower()).replace(" ", "-")
                    for line in self.text.splitlines() if line.startswith("#")}
        for link in re.findall(r"\]\(#([^)]+)\)", self.text):
            self.assertIn(link, headings)

    def test_every_table_is_rectangular(self):
        for block in re.findall(r"(?:^\|.*\n)+", self.text, re.MULTILINE):
            widths = {line.count("|") for line in block.splitlines()}
            self.assertEqual(len(widths), 1, block)

    def test_a_machine_with_one_processor_has_a_page_too(self):
        kept = self.kept
        for name in list(kept["benchmarks"]):
            if name.startswith(("limit/", "handover/", "paced/")) or re.match(r"parallel/\w+/2/", name):
                del kept["benchmarks"][name]
        with tempfile.TemporaryDirectory() as directory:
            self.assertNotIn("## One producer, one consumer", make(directory, kept))

    def test_a_target_is_reached_or_its_miss_is_explained(self):
        kept = self.kept
        floor = kept["benchmarks"]["write/floor/64/monotonic"]["time"][0]
        for above, reached in ((3.9, True), (4.5, False)):
            kept["benchmarks"]["write/write/64/monotonic"]["time"] = [floor + above]
            first = next(iter(targets.all_targets(results.Results(kept), measured_curve())))
            self.assertEqual(first.reached, reached)
            missed = targets.targets_section(results.Results(kept), measured_curve()).partition("Not reached:")[2]
            self.assertEqual(f"**{first.what}**" in missed, not reached)

    @unittest.skipUnless(TWO_PROCESSORS, "one processor")
    def test_repetitions_of_different_placements_are_kept_apart(self):
        kept = self.kept
        for figures in kept["benchmarks"].values():
            if "round_trip" in figures:
                values = {name: values[0] for name, values in figures.items()}
                figures.update({name: [value, 10 * value, value] for name, value in values.items()})
                figures["round_trip"] = [100, 500, 110]
        (share, usual), (_, other) = results.Results(kept).placements()
        self.assertAlmostEqual(share, 2 / 3)
        name = "handover/boost_push/0/monotonic"
        first = self.run_kept["benchmarks"][name]["ns"][0]
        self.assertEqual((usual.benchmarks[name]["ns"], other.benchmarks[name]["ns"]), ([first, first], [10 * first]))
        with tempfile.TemporaryDirectory() as directory:
            self.assertIn("### In both placements", make(directory, kept))

    @unittest.skipUnless(TWO_PROCESSORS, "one processor")
    def test_noise_of_the_round_trip_is_no_placement(self):
        kept = self.kept
        for figures in kept["benchmarks"].values():
            if "round_trip" in figures:
                figures["round_trip"] = [100.0]
        kept["benchmarks"]["handover/boost_push/0/monotonic"]["round_trip"] = [900.0]
        self.assertEqual(len(results.Results(kept).placements()), 1)

    @unittest.skipUnless(TWO_PROCESSORS, "one processor")
    def test_a_range_push_is_compared_at_the_same_latency(self):
        kept = self.kept
        for name, each, latency in (("sluice_reader", 40, 3000), ("boost_range_8", 90, 1400), ("boost_range_32", 50, 3200),
                                    ("boost_range_128", 42, 6000)):
            kept["benchmarks"][f"handover/{name}/0/monotonic"].update(ns=[each], latency_p50=[latency])
        found = handover.range_at_same_latency(results.Results(kept), "handover/sluice_reader/0/monotonic", "monotonic")
        self.assertEqual(found, "handover/boost_range_32/0/monotonic")

    @unittest.skipUnless(TWO_PROCESSORS, "one processor")
    def test_a_peer_that_wins_is_named_with_its_reason(self):
        kept = self.kept
        kept["benchmarks"]["handover/moodycamel/0/monotonic"]["ns"] = [0.5]
        lines = handover.winners(results.Results(kept), "monotonic")
        self.assertTrue(any("moodycamel" in line and "72 bytes" in line for line in lines))


class DropCurve(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.run_kept = results.compact(raw_run())

    def setUp(self):
        self.curve = measured_curve()

    def page(self):
        with tempfile.TemporaryDirectory() as directory:
            return make(directory, self.run_kept, self.curve)

    def target(self, beginning):
        return next((target for target in drop_curve.targets(self.curve) if target.what.startswith(beginning)), None)

    def test_every_run_of_ours_is_joined_and_drops_under_a_stall(self):
        for cell in self.curve.of("cell"):
            self.assertEqual(cell["checked"], cell["design"] in ("sluice", "mapping", "port", "ioctl"), cell)
        stalled = self.curve.of("cell", checked=True, consumer="stalled_10ms")
        self.assertEqual(len(stalled), 4)
        self.assertTrue(all(cell["intervals"] > 0 for cell in stalled))

    def test_what_is_announced_is_what_was_dropped(self):
        # Events that were tried behind the end, until the last gap was closed, are announced, too.
        for cell in self.curve.of("cell", checked=True):
            self.assertGreaterEqual(cell["announced"], cell["dropped"], cell)
            self.assertEqual(cell["announced"] > 0, cell["intervals"] > 0, cell)

    def test_drops_are_a_share_of_what_was_really_offered(self):
        cell = {"offered": 200, "dropped": 50, "length": 100_000_000, "rate": 4000.0}
        self.assertEqual(drop_curve.drop_share(cell), 0.25)
        self.assertEqual(drop_curve.reached(cell), 2000)

    def test_a_rate_that_was_not_reached_is_told(self):
        ring = self.curve.shown_ring()
        cell = self.curve.of("cell", design="sluice", consumer="slow", ring=ring)[0]
        cell.update(offered=30_000, dropped=15_000)
        self.assertIn("50.0 % at 0.50", drop_curve.share_table(self.curve, ring, "slow"))

    def test_a_violation_is_a_target_missed_and_told_in_the_page(self):
        self.assertTrue(self.target("intervals of drops").reached)
        self.curve.of("cell", checked=True)[2]["violations"] = 3
        self.assertFalse(self.target("intervals of drops").reached)
        self.assertIn("**3 times that was not so.**", self.page())

    def test_the_cost_is_compared_with_the_tracepoint(self):
        self.curve.lines = [line for line in self.curve.lines if line["kind"] != "cost"]
        for theirs, reached in ((100.0, True), (50.0, False)):
            lines = [{"kind": "cost", "design": design, "events": 10, "ns": [ns] * 9} for design, ns in (("sluice", 30.0), ("lttng_ust", theirs))]
            self.curve.lines += lines
            self.assertEqual(self.target("cost of an event").reached, reached)
            self.curve.lines = self.curve.lines[:-2]

    def test_without_lttng_the_page_says_why(self):
        self.curve.lines = [line for line in self.curve.lines if line.get("design") != "lttng_ust"]
        self.curve.of("context")[0]["lttng"] = "it is not there"
        text = self.page()
        self.assertIn("LTTng-UST did not take part: it is not there.", text)
        self.assertIsNone(self.target("cost of an event"))

    @staticmethod
    def point(ring, rate, dropped, away=0):
        return {"kind": "cell", "design": "sluice", "ring": ring, "consumer": "running", "shape": "steady", "rate": rate, "length": 1_000_000_000,
                "offered": int(rate), "dropped": dropped, "away": away}

    def test_of_several_runs_the_median_is_told_and_the_worst(self):
        self.curve.lines = [self.point(65536, 1e6, dropped) for dropped in (250_000, 0, 10_000)]
        self.assertIn("| ours, in process | 1.0 % (25.0 %) |", drop_curve.share_table(self.curve, 65536, "running"))
        self.assertIn("median (worst) of 3", drop_curve.share_table(self.curve, 65536, "running"))
        self.assertIn("| ours, in process | 64 KiB | none |", drop_curve.rings_table(self.curve))

    def test_runs_that_drop_are_told_apart_by_whether_their_consumer_was_kept_away(self):
        # A ring of 1,000 events at 1 M/s lasts for a millisecond.
        self.curve.lines = [{"kind": "memory", "design": "sluice", "ring": 65536, "bytes": 65536, "held": 1000},
                            self.point(65536, 1e6, 0, 5_000_000), self.point(65536, 1e6, 10, 1_000_000)]
        self.assertIn("Of its 2 runs 1 dropped. In 1 of these", drop_curve.away_text(self.curve))
        self.assertNotIn("In the others", drop_curve.away_text(self.curve))
        self.curve.lines.append(self.point(65536, 2e6, 10, 499_999))
        self.assertIn("In the others it had its processor, or lost it for less, and fell behind: 64 KiB at 2.00 M/s.",
                      drop_curve.away_text(self.curve))

    def test_the_highest_rate_without_a_drop_ends_below_the_first_that_drops(self):
        self.curve.lines = [{"kind": "cell", "design": "sluice", "ring": 65536, "consumer": "running", "shape": "steady", "rate": rate,
                             "length": 1_000_000_000, "offered": int(rate), "dropped": dropped} for rate, dropped in ((1e6, 0), (2e6, 5), (4e6, 0))]
        self.assertIn("| ours, in process | 64 KiB | 1.00 M/s |", drop_curve.rings_table(self.curve))


if __name__ == "__main__":
    unittest.main()
