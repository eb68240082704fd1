"""Words that several sections use."""

from penumbra.benchmark import claims
from penumbra.report.content import Results


def sides() -> dict[str, tuple[str, str, str]]:
    """The two detectors that a claim about training compares, the one claimed better first, and by which score; by the claim's text."""
    return {claim.text: (claim.better, claim.worse, claim.of) for claim in claims.read() if claim.measure == "detectors"}


def headline_score(results: Results) -> str:
    """The headline scores in words, each for its detectors."""
    table = results.tables["detectors"]
    names = {score: list(part.detector) for score, part in table.groupby("score", sort=False)}
    first, *others = names
    return f"{first} score" + "".join(f" ({', '.join(names[score])}: {score})" for score in others)


def described(results: Results) -> str:
    """What the numbers of the results are, in words."""
    seeds = len(results.params.train.seeds)
    return f"{headline_score(results)}, mean ± sample standard deviation over {seeds} training seeds, in percent"
