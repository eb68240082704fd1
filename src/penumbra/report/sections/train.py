"""The detectors."""

from penumbra.report import convergence
from penumbra.report.content import Block, Results, Section
from penumbra.report.format import Table, count, percent


def section(results: Results) -> Section:
    """What each detector was trained on, and how."""
    table = results.tables["detectors"]
    used = {name: results.params.train.recipes[name] for name in table.recipe.unique()}
    rows = [
        [
            row.detector,
            row.recipe,
            row.bands or ("ID only" if used[row.recipe].trains else "–"),
            count(row.outliers),
            percent(row.id_acc_mean, row.id_acc_std),
        ]
        for row in table.assign(bands=table.bands.astype(object).fillna("")).itertuples()
    ]
    recipes = "; ".join(f"{name}: {recipe.caption}" for name, recipe in used.items())
    caption = f"Seeds {', '.join(map(str, results.params.train.seeds))}. Recipes: {recipes}."
    header = ["detector", "recipe", "bands", "outliers", "ID accuracy, %"]
    return Section("train", "The detectors", [Block(caption, table=Table(header, rows)), *convergence.blocks(results)])
