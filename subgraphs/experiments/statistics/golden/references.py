"""
Computes the reference values of this folder, from the textbook formulas in 50-digit arithmetic (mpmath), and checks
each against scipy where scipy has it. Shares no code with what it judges. Writes the JSON files beside it:
    python3 references.py            (needs mpmath and scipy)
"""
import itertools, json, math, os, platform
from fractions import Fraction
import mpmath as mp
import scipy
from scipy import stats

mp.mp.dps = 50
HERE = os.path.dirname(os.path.abspath(__file__))
BY = f"Python {platform.python_version()}, mpmath {mp.__version__} at 50 digits; agreement with scipy {scipy.__version__} asserted where scipy has the test"
f = mp.mpf
num = lambda x: float(mp.nstr(x, 17))


def write(name, about, cases):
    with open(os.path.join(HERE, name), "w") as out:
        out.write('{\n  "about": %s,\n  "computedBy": %s,\n  "cases": [\n' % (json.dumps(about), json.dumps(BY)))
        out.write(",\n".join("    " + json.dumps(case, ensure_ascii=False) for case in cases))
        out.write("\n  ]\n}\n")


def t_two_sided(t, df):
    return mp.betainc(df / 2, f(1) / 2, 0, df / (df + t * t), regularized=True)


def refine(g, p, guess):
    """The x with g(x) = p, to full precision, from scipy's double-precision guess."""
    return guess if guess == 0 else mp.findroot(lambda x: mp.log(g(x) / p), (f(guess), f(guess) * (1 + f(10) ** -12)))


def t_critical(p, df):
    return refine(lambda t: t_two_sided(t, df), p, stats.t.isf(float(p / 2), float(df)))


def z_two_sided(z):
    return mp.erfc(z / mp.sqrt(2))


def z_critical(p):
    return -z_critical(2 - p) if p > 1 else refine(z_two_sided, p, stats.norm.isf(float(p / 2)))


def agree(ours, other, tolerance):
    assert abs(ours - other) <= tolerance * abs(ours), (ours, other)


def welch(c, t):
    (nc, mc, m2c), (nt, mt, m2t) = [[f(x) for x in arm] for arm in (c, t)]
    a, b = m2t / (nt - 1) / nt, m2c / (nc - 1) / nc
    se = mp.sqrt(a + b)
    df = (a + b) ** 2 / (a**2 / (nt - 1) + b**2 / (nc - 1))
    stat = (mt - mc) / se
    return dict(d=mt - mc, se=se, df=df, t=stat, p=t_two_sided(stat, df), a=a, b=b, mc=mc, mt=mt)


# count, mean, m2
ARMS = [
    ("an effect that is there", (500, 42.0, 499 * 36.0), (480, 43.5, 479 * 30.25), 0.95),
    ("equal arms", (100, 7.25, 99 * 4.0), (100, 7.25, 99 * 4.0), 0.95),
    ("small arms, a fraction of a degree of freedom", (3, 10.0, 2 * 0.37), (5, 12.5, 4 * 8.1), 0.9),
    ("two vehicles in each arm", (2, 1.0, 0.02), (2, 1.7, 0.045), 0.95),
    ("one arm without spread", (40, 3.0, 0.0), (25, 3.4, 24 * 1.21), 0.95),
    ("one degree of freedom and hardly more", (2, 5.0, 8.0), (100000, 5.5, 99999 * 1e-6), 0.8),
    ("p of 1e-30", (5000, 100.0, 4999 * 225.0), (5000, 103.48, 4999 * 230.0), 0.95),
    ("p of 1e-200", (50000, 100.0, 49999 * 225.0), (50000, 102.87, 49999 * 230.0), 0.99),
    ("many vehicles with a tiny variance", (1000000, 1000000.0, 999999 * 1e-8), (2000000, 1000000.0000003, 1999999 * 1.7e-8), 0.95),
    ("arms of very unequal size", (990000, 0.52, 989999 * 0.2496), (10000, 0.531, 9999 * 0.249039), 0.95),
    ("a binary metric: 100 of 1000 and 137 of 1020", (1000, 0.1, 1000 * 0.1 * 0.9), (1020, 137 / 1020, 137 * (1 - 137 / 1020)), 0.95),
    ("a negative metric", (300, -12.5, 299 * 9.0), (310, -11.9, 309 * 10.5), 0.95),
    ("a small p-value at few vehicles of many planned", (30, 20.0, 29 * 4.0), (30, 26.0, 29 * 5.0), 0.95),
    ("very small units", (200, 4.2e-150, 199 * 1.44e-302), (210, 4.4e-150, 209 * 1.21e-302), 0.95),
]
cases = []
for name, c, t, level in ARMS:
    w = welch(c, t)
    crit = t_critical(1 - f(level), w["df"])
    size = abs(w["mc"])
    rel = 100 * w["d"] / size
    # Fieller: the ratio is bounded by the data only when the control's own interval leaves out 0. The ends are the
    # changes r at which the test of mT = mC + r |mC| is exactly at its critical value.
    bounded = size > crit * mp.sqrt(w["b"])
    if bounded:
        base = w["mc"] / size
        ends = mp.polyroots([w["mc"] ** 2 - crit**2 * w["b"], -2 * w["mt"] * size, w["mt"] ** 2 - crit**2 * w["a"]], maxsteps=500, extraprec=400)
        interval = sorted(100 * (mp.re(end) - base) for end in ends)
    if c[2] > 1e-200:
        ref = stats.ttest_ind_from_stats(t[1], math.sqrt(t[2] / (t[0] - 1)), t[0], c[1], math.sqrt(c[2] / (c[0] - 1)), c[0], equal_var=False)
        agree(w["p"], ref.pvalue, 1e-6)
    moments = lambda arm: dict(count=arm[0], mean=arm[1], m2=arm[2])
    cases.append(dict(
        name=name, control=moments(c), treatment=moments(t), confidenceLevel=level,
        expected=dict(
            difference=num(w["d"]), standardError=num(w["se"]), degreesOfFreedom=num(w["df"]), t=num(w["t"]), pValue=num(w["p"]),
            differenceInterval=[num(w["d"] - crit * w["se"]), num(w["d"] + crit * w["se"])],
            improvementPercent=num(rel) if bounded else None,
            confidenceInterval=[num(end) for end in interval] if bounded else None,
        )))
write("comparisons.json", "Welch's test, relative improvement with its interval by Fieller of two arms given by count, mean and sum of squared deviations.", cases)

RATIOS = [
    ("as planned", 500, 500, "0.5"), ("a usual split", 5021, 4979, "0.5"), ("a mismatch that nobody sees by eye", 821588, 815482, "0.5"),
    ("a tenth", 9080, 920, "0.1"), ("far off", 9000, 2000, "0.1"), ("p of 1e-100", 1010000, 979800, "0.5"), ("one in a thousand", 998000, 1100, "0.001"),
    ("too few for chi-square", 50, 1, "0.001"), ("too few, and too many there", 50, 6, "0.01"), ("all in one arm of a small fleet", 8, 0, "0.5"),
    ("small and uneven", 3, 4, "0.5"), ("a share near 1", 2, 97, "0.99"), ("just enough for chi-square", 5, 7, "0.5"), ("nobody", 0, 0, "0.5"),
]
cases = []
for name, c, t, share in RATIOS:
    s = f(float(share))
    ratios = [mp.beta(k * s + t, k * (1 - s) + c) / mp.beta(k * s, k * (1 - s)) / (s**t * (1 - s) ** c) for k in (2, 20, 200, 2000)]
    cases.append(dict(name=name, control=c, treatment=t, treatmentShare=float(share), expected=num(mp.log(mp.fsum(ratios) / 4))))
write("sample-ratios.json", "Logarithms of the sample ratio's e-value: the mean of four Beta-binomial likelihoods, divided by the plan's.", cases)

TAILS = [("40", "3"), ("1e4", "10"), ("60", "1000.5"), ("45", "5e6"), ("1e9", "70"), ("-300", "250"), ("39", "1e9"), ("1e160", "2")]
write("far-tails.json", "Logarithms of two-sided tails of Student's t that are too small for a double, or nearly.", [
    dict(t=float(t), df=float(df), expected=num(mp.log(t_two_sided(f(t), f(df))))) for t, df in TAILS])

DELTAS = [
    ("of sums, means differ by 71 %", (3407, "1396.87", "52377.9767"), (3461, "2422.7", "134698.29"), None),
    ("of shares, with the variance of a share", (28, "14", None), (30, "16", None), None),
]
cases = []
for name, c, t, _ in DELTAS:
    def moments(n, total, squares):
        m = f(total) / n
        return n, m, (f(squares) - n * m * m if squares else (n - 1) * m * (1 - m))
    c, t = moments(*c), moments(*t)
    w = welch(c, t)
    se = mp.sqrt(w["a"] / w["mc"] ** 2 + w["mt"] ** 2 * w["b"] / w["mc"] ** 4)
    dump = lambda arm: dict(count=arm[0], mean=num(arm[1]), m2=num(arm[2]))
    cases.append(dict(name=name, control=dump(c), treatment=dump(t), welch=num(w["p"]), expected=num(t_two_sided(w["d"] / w["mc"] / se, w["df"]))))
write("delta-p-values.json", "p-values of a ratio of means of 1 by the delta method, beside Welch's.", cases)


def of_events(direction, limit, share, x_t, x_c):
    """The mean over twelve rate ratios of the likelihood ratios of the events' arms."""
    def q(ratio): return share * ratio / (share * ratio + 1 - share)
    ratios = [f("1.15") * (8 / f("1.15")) ** (f(i) / 11) for i in range(12)]
    each = [q(limit * r if direction == "higher" else limit / r) for r in ratios]
    return [(one / q(limit)) ** x_t * ((1 - one) / (1 - q(limit))) ** x_c for one in each]


EVENTS = [
    ("12 failures of 12 vehicles, none of 300", "higher", 1, "12/312", 12, 0), ("15 of 465 against none of 55", "higher", 1, "465/520", 15, 0),
    ("a doubled rate under a limit of 10 %", "higher", "1.1", "0.1", 40, 180), ("a halved rate", "lower", 1, "0.5", 30, 60),
    ("a rate just at its limit", "lower", "0.9", "0.444", 72, 100), ("no events", "higher", 1, "0.5", 0, 0), ("many events", "higher", "1.25", "0.01", 3000, 200000),
]
fraction = lambda text: f(text.split("/")[0]) / f(text.split("/")[1]) if "/" in str(text) else f(text)
cases = []
for name, direction, limit, share, x_t, x_c in EVENTS:
    each = of_events(direction, fraction(str(limit)), fraction(share), x_t, x_c)
    cases.append(dict(name=name, direction=direction, limit=float(limit), share=num(fraction(share)), treatment=x_t, control=x_c, expected=num(mp.log(mp.fsum(each) / len(each)))))
write("event-evidence.json", "Logarithms of e-values on the arm of each event.", cases)

STAKES = [f("0.9") / 2**i for i in range(10)]


def of_means(direction, s, share, low, high, centre, control, treatment):
    """The mean over stakes of the products of 1 + stake/worst * phi, phi written as in the paper's inverse weighting."""
    sign = 1 if direction == "higher" else -1
    phi = lambda arm, y: sign * ((y - s * centre) / share if arm else -s * (y - centre) / (1 - share))
    worst = -min(phi(arm, y) for arm in (0, 1) for y in (low, high))
    return [mp.fprod([1 + stake / worst * phi(0, y) for y in control] + [1 + stake / worst * phi(1, y) for y in treatment]) for stake in STAKES]


MEANS = [
    ("a higher mean", "higher", "1", "0.5", "0", "10", "4", [3, 4, 5, 2, 6], [7, 8, 9, 6, 10]),
    ("a limit of 20 %", "higher", "1.2", "0.3", "0", "10", "4", [3, 4, 5, 2, 6, 4, 4], [5, 6, 4]),
    ("a lower mean", "lower", "1", "0.9", "-2", "3", "1", [2, 3, 2.5], [0, -1, -2, 1, 0.5]),
    ("a limit of -20 %", "lower", "0.8", "0.01", "0", "1", "0.5", [0.5] * 90, [0.1]),
]
cases = []
for name, direction, s, share, low, high, centre, control, treatment in MEANS:
    each = of_means(direction, *[f(x) for x in (s, share, low, high, centre)], [f(y) for y in control], [f(y) for y in treatment])
    cases.append(dict(name=name, direction=direction, limit=float(s), share=float(share), range=dict(low=float(low), high=float(high), centre=float(centre)),
                      control=control, treatment=treatment, expected=num(mp.log(mp.fsum(each) / len(each)))))
write("mean-evidence.json", "Logarithms of e-values on the difference of two means, by bets within a range.", cases)

BOUNDS = [("above a bound", "higher", "42", "0", [46, 47, 44, 45, 48] * 8), ("below a bound", "lower", "42", "60", [38, 39, 37] * 10), ("at a bound", "higher", "3", "0", [3, 3, 3, 3]), ("shares", "higher", "0.03", "0", [0, 1, 0, 0, 1] * 4)]
cases = []
for name, direction, bound, end, treatment in BOUNDS:
    sign, m = (1 if direction == "higher" else -1), f(bound)
    worst = sign * (m - f(end))
    each = [mp.fprod([1 + stake / worst * sign * (f(y) - m) for y in treatment]) for stake in STAKES]
    cases.append(dict(name=name, direction=direction, bound=float(bound), end=float(end), treatment=treatment, expected=num(mp.log(mp.fsum(each) / len(each)))))
write("bound-evidence.json", "Logarithms of e-values on one mean against a bound.", cases)


def holm_by_closure(ps):
    """Holm's adjusted p-values as the closed test of Bonferroni: each is the greatest of all intersections that hold it. In exact fractions."""
    numbers = [Fraction(p) for p in ps]
    subsets = [s for size in range(1, len(numbers) + 1) for s in itertools.combinations(range(len(numbers)), size)]
    bonferroni = {s: min(Fraction(1), len(s) * min(numbers[i] for i in s)) for s in subsets}
    return [max(p for s, p in bonferroni.items() if i in s) for i in range(len(numbers))]


HOLMS = [
    ("one hypothesis", [0.03]), ("none", []), ("in any order", [0.04, 0.01, 0.03, 0.005]), ("a smaller step never undercuts the one before", [0.01, 0.011, 0.012]),
    ("equal ones", [0.02, 0.02, 0.02]), ("at most 1", [0.4, 0.6, 0.9]), ("far tails", [1e-300, 5e-324, 0.5, 1e-12]), ("ten", [0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205, 0.212, 0.216]),
]
cases = [dict(name=name, pValues=ps, expected=[num(f(p.numerator) / p.denominator) for p in holm_by_closure(ps)]) for name, ps in HOLMS]
write("holm.json", "Holm's adjusted p-values, by the closed test of Bonferroni over all intersections in exact fractions.", cases)


def t_power(n, d, alpha):
    """Power of the two-sample t-test with n in each arm: the noncentral t integrated by scipy."""
    df, nc = 2 * n - 2, d * math.sqrt(n / 2)
    crit = stats.t.isf(alpha / 2, df)
    return stats.nct.sf(crit, df, nc) + stats.nct.cdf(-crit, df, nc)


def exact_t_size(d, alpha, power):
    n = max(2, int(2 * ((stats.norm.isf(alpha / 2) + stats.norm.isf(1 - power)) / d) ** 2) - 3)
    while t_power(n, d, alpha) < power: n += 1
    return n


cases = []
for sd, effect, power, level in [(6, 1, .8, .95), (6, 1, .9, .95), (10, 5, .8, .95), (1, .5, .8, .99), (3, 3, .8, .95), (2.5, -.4, .8, .9), (15, .3, .8, .95), (1, .01, .95, .999), (1, 2.5, .8, .95), (8, 2, .5, .95), *[(1, round(.15 * i, 2), power, level) for i in range(1, 21) for power, level in ((.8, .95), (.9, .99), (.6, .8))]]:
    cases.append(dict(baseline=42, standardDeviation=sd, minimumDetectableEffect=effect, power=power, confidenceLevel=level, expected=exact_t_size(abs(effect) / sd, 1 - level, power)))
for p1, effect, power, level in [(.1, .02, .8, .95), (.1, -.02, .8, .95), (.5, .01, .9, .95), (.03, .003, .8, .95), (.8, .05, .8, .99), (.0005, .0001, .8, .9), (.2, .3, .95, .95)]:
    p1_, e_ = f(p1), f(effect); p2_ = p1_ + e_
    n = (z_critical(1 - f(level)) + z_critical(2 * (1 - f(power)))) ** 2 * (p1_ * (1 - p1_) + p2_ * (1 - p2_)) / e_**2
    cases.append(dict(baseline=p1, minimumDetectableEffect=effect, power=power, confidenceLevel=level, expected=int(mp.ceil(n))))
write("sample-sizes.json", "Vehicles in each arm. Continuous: the smallest n for which the exact power of the t-test (noncentral t, scipy) reaches the wanted power. Binary: normal approximation with each arm's own variance.", cases)
