"""Numbers and tables as the page shows them."""


def number(value, digits=3):
    """Three significant digits, no exponent; thousands with a thin mark."""
    if value == 0:
        return "0"
    magnitude = abs(value)
    if magnitude >= 100000:
        return f"{value:,.0f}"
    if magnitude >= 10 ** (digits - 1):
        return f"{value:.0f}"
    decimals = digits - 1
    while decimals > 0 and magnitude >= 10 ** (digits - decimals):
        decimals -= 1
    return f"{value:.{decimals}f}" if magnitude >= 0.01 else f"{value:.4f}"


def shown(figure, unit=""):
    """Median and interval."""
    text = f"{number(figure.median)} [{number(figure.low)}, {number(figure.high)}]"
    return f"{text} {unit}" if unit else text


def times(figure):
    return f"{number(figure.median)}x [{number(figure.low)}, {number(figure.high)}]"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def picture(name, what):
    return f"![{what}](benchmarks/{name}.svg)\n\n([PNG](benchmarks/{name}.png))"
