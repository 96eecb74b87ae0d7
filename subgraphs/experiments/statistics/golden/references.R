# Reference values from raw data, by R's own tests: writes raw-data.json beside it.
#   Rscript references.R
options(digits = 17)
n <- function(x) paste0("[", paste(sprintf("%.17g", x), collapse = ", "), "]")
set.seed(20130204)
cases <- list(
  list(name = "minutes of charging", control = round(rnorm(40, 42, 6), 3), treatment = round(rnorm(35, 45, 9), 3)),
  list(name = "a skewed metric", control = round(rexp(60, 0.2), 4), treatment = round(rexp(55, 0.25), 4)),
  list(name = "a binary metric", control = rbinom(80, 1, 0.3), treatment = rbinom(90, 1, 0.45)),
  list(name = "four vehicles", control = c(1.25, 2.5), treatment = c(3.75, 3.125)),
  list(name = "a large mean beside the spread", control = 1e4 + round(rnorm(30), 4), treatment = 1e4 + 0.5 + round(rnorm(30), 4))
)
rows <- c()
for (case in cases) {
  y <- c(case$control, case$treatment)
  arm <- rep(c(0, 1), c(length(case$control), length(case$treatment)))
  before <- round(0.8 * (y - mean(y)) + rnorm(length(y), 10, sd(y) / 2), 4)
  test <- t.test(case$treatment, case$control)
  slope <- unname(coef(lm(y ~ arm + before))["before"]) # the slope within the arms is that of the analysis of covariance
  adjusted <- y - slope * (before - mean(before))
  after <- t.test(adjusted[arm == 1], adjusted[arm == 0])
  rows <- c(rows, sprintf(
    '    {"name": "%s", "control": %s, "treatment": %s, "controlBefore": %s, "treatmentBefore": %s, "expected": {"pValue": %.17g, "degreesOfFreedom": %.17g, "interval": %s, "theta": %.17g, "cupedDifference": %.17g, "cupedPValue": %.17g}}',
    case$name, n(case$control), n(case$treatment), n(before[arm == 0]), n(before[arm == 1]), test$p.value, unname(test$parameter), n(test$conf.int),
    slope, unname(after$estimate[1] - after$estimate[2]), after$p.value
  ))
}
here <- dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE)))
writeLines(c(
  "{",
  '  "about": "Welch\'s test by t.test, the slope of CUPED by lm, and t.test on the adjusted values; every vehicle has history. 95 %.",',
  sprintf('  "computedBy": "%s",', R.version.string),
  '  "cases": [', paste(rows, collapse = ",\n"), "  ]", "}"
), file.path(here, "raw-data.json"))
