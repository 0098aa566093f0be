"""One target: what was aimed at, what was measured, and what explains it if it was not reached."""


class Target:
    def __init__(self, what, aim, measured, reached, why=""):
        self.what = what
        self.aim = aim
        self.measured = measured
        self.reached = reached
        self.why = why  # said if it is not reached
