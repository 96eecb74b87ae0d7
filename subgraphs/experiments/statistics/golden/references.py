"""
Computes the reference values of this folder, from the textbook formulas in 50-digit arithmetic (mpmath), and checks
each against scipy where scipy has it. Shares no code with what it judges. Writes the JSON files beside it:
    python3 references.py            (needs mpmath and scipy)
"""
import json, math, os, platform
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


def sequential(w, nc, nt, planned, level):
    alpha = 1 - f(level)
    rho2 = (-2 * mp.log(alpha) + mp.log(1 - 2 * mp.log(alpha))) / (2 * f(planned))
    n = 4 * f(nc) * nt / (f(nc) + nt)
    k = n * rho2
    z = z_critical(w["p"]) if w["p"] < 1 else f(0)
    p = min(f(1), mp.sqrt(1 + k) * mp.exp(-z * z / 2 * k / (1 + k)))
    cz = mp.sqrt(2 * (1 + k) / k * (mp.log(1 / alpha) + mp.log(1 + k) / 2))
    return p, t_critical(z_two_sided(cz), w["df"])


# count, mean, m2
ARMS = [
    ("an effect that is there", (500, 42.0, 499 * 36.0), (480, 43.5, 479 * 30.25), 500, 0.95),
    ("equal arms", (100, 7.25, 99 * 4.0), (100, 7.25, 99 * 4.0), 100, 0.95),
    ("small arms, a fraction of a degree of freedom", (3, 10.0, 2 * 0.37), (5, 12.5, 4 * 8.1), 10, 0.9),
    ("two vehicles in each arm", (2, 1.0, 0.02), (2, 1.7, 0.045), 2, 0.95),
    ("one arm without spread", (40, 3.0, 0.0), (25, 3.4, 24 * 1.21), 50, 0.95),
    ("one degree of freedom and hardly more", (2, 5.0, 8.0), (100000, 5.5, 99999 * 1e-6), 100, 0.8),
    ("p of 1e-30", (5000, 100.0, 4999 * 225.0), (5000, 103.48, 4999 * 230.0), 5000, 0.95),
    ("p of 1e-200", (50000, 100.0, 49999 * 225.0), (50000, 102.87, 49999 * 230.0), 50000, 0.99),
    ("many vehicles with a tiny variance", (1000000, 1000000.0, 999999 * 1e-8), (2000000, 1000000.0000003, 1999999 * 1.7e-8), 1000000, 0.95),
    ("arms of very unequal size", (990000, 0.52, 989999 * 0.2496), (10000, 0.531, 9999 * 0.249039), 10000, 0.95),
    ("a binary metric: 100 of 1000 and 137 of 1020", (1000, 0.1, 1000 * 0.1 * 0.9), (1020, 137 / 1020, 137 * (1 - 137 / 1020)), 4000, 0.95),
    ("a negative metric", (300, -12.5, 299 * 9.0), (310, -11.9, 309 * 10.5), 300, 0.95),
    ("a small p-value at few vehicles of many planned", (30, 20.0, 29 * 4.0), (30, 26.0, 29 * 5.0), 5000, 0.95),
    ("very small units", (200, 4.2e-150, 199 * 1.44e-302), (210, 4.4e-150, 209 * 1.21e-302), 200, 0.95),
]
cases = []
for name, c, t, planned, level in ARMS:
    w = welch(c, t)
    crit = t_critical(1 - f(level), w["df"])
    size = abs(w["mc"])
    rel = 100 * w["d"] / size
    rel_se = 100 * mp.sqrt(w["a"] / size**2 + w["mt"] ** 2 * w["b"] / size**4)
    # Fieller: the ratio is bounded by the data only when the control's own interval leaves out 0.
    bounded = size > crit * mp.sqrt(w["b"])
    sp, sc = sequential(w, c[0], t[0], planned, level)
    if c[2] > 1e-200:
        ref = stats.ttest_ind_from_stats(t[1], math.sqrt(t[2] / (t[0] - 1)), t[0], c[1], math.sqrt(c[2] / (c[0] - 1)), c[0], equal_var=False)
        agree(w["p"], ref.pvalue, 1e-6)
    moments = lambda arm: dict(count=arm[0], mean=arm[1], m2=arm[2])
    cases.append(dict(
        name=name, control=moments(c), treatment=moments(t), confidenceLevel=level, plannedInEachArm=planned,
        expected=dict(
            difference=num(w["d"]), standardError=num(w["se"]), degreesOfFreedom=num(w["df"]), t=num(w["t"]), pValue=num(w["p"]),
            differenceInterval=[num(w["d"] - crit * w["se"]), num(w["d"] + crit * w["se"])],
            improvementPercent=num(rel) if bounded else None,
            confidenceInterval=[num(rel - crit * rel_se), num(rel + crit * rel_se)] if bounded else None,
            sequentialPValue=num(sp), sequentialCritical=num(sc),
        )))
write("comparisons.json", "Welch's test, relative improvement with its delta-method interval, sequential p-value and critical value of two arms given by count, mean and sum of squared deviations.", cases)

RATIOS = [
    ("as planned", 500, 500, "0.5"), ("a usual split", 5021, 4979, "0.5"), ("a mismatch that nobody sees by eye", 821588, 815482, "0.5"),
    ("a tenth", 9080, 920, "0.1"), ("far off", 9000, 2000, "0.1"), ("p of 1e-100", 1010000, 979800, "0.5"), ("one in a thousand", 998000, 1100, "0.001"),
    ("too few for chi-square", 50, 1, "0.001"), ("too few, and too many there", 50, 6, "0.01"), ("all in one arm of a small fleet", 8, 0, "0.5"),
    ("small and uneven", 3, 4, "0.5"), ("a share near 1", 2, 97, "0.99"), ("just enough for chi-square", 5, 7, "0.5"), ("nobody", 0, 0, "0.5"),
]
cases = []
for name, c, t, share in RATIOS:
    s = f(float(share)); n = c + t; ec, et = n * (1 - s), n * s
    if min(ec, et) >= 5:
        chi = (c - ec) ** 2 / ec + (t - et) ** 2 / et
        p = mp.erfc(mp.sqrt(chi / 2))
        agree(p, stats.chi2.sf(float(chi), 1), 1e-9)
    else:
        pmf = [mp.binomial(n, k) * s**k * (1 - s) ** (n - k) for k in range(n + 1)]
        p = min(f(1), 2 * min(mp.fsum(pmf[: t + 1]), mp.fsum(pmf[t:])))
        agree(p, min(1, 2 * min(stats.binom.cdf(t, n, float(s)), stats.binom.sf(t - 1, n, float(s)))), 1e-9)
    cases.append(dict(name=name, control=c, treatment=t, treatmentShare=float(share), expected=num(p)))
write("sample-ratios.json", "p-values of the sample-ratio check: chi-square with one degree of freedom, or the doubled smaller tail of the exact binomial test where an arm's expected size is below 5.", cases)


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
for sd, effect, power, level in [(6, 1, .8, .95), (6, 1, .9, .95), (10, 5, .8, .95), (1, .5, .8, .99), (3, 3, .8, .95), (2.5, -.4, .8, .9), (15, .3, .8, .95), (1, .01, .95, .999), (1, 2.5, .8, .95), (8, 2, .5, .95)]:
    cases.append(dict(baseline=42, standardDeviation=sd, minimumDetectableEffect=effect, power=power, confidenceLevel=level, expected=exact_t_size(abs(effect) / sd, 1 - level, power)))
for p1, effect, power, level in [(.1, .02, .8, .95), (.1, -.02, .8, .95), (.5, .01, .9, .95), (.03, .003, .8, .95), (.8, .05, .8, .99), (.0005, .0001, .8, .9), (.2, .3, .95, .95)]:
    p1_, e_ = f(p1), f(effect); p2_ = p1_ + e_
    n = (z_critical(1 - f(level)) + z_critical(2 * (1 - f(power)))) ** 2 * (p1_ * (1 - p1_) + p2_ * (1 - p2_)) / e_**2
    cases.append(dict(baseline=p1, minimumDetectableEffect=effect, power=power, confidenceLevel=level, expected=int(mp.ceil(n))))
write("sample-sizes.json", "Vehicles in each arm. Continuous: the smallest n for which the exact power of the t-test (noncentral t, scipy) reaches the wanted power. Binary: normal approximation with each arm's own variance.", cases)
