"""The detectors."""

from typing import Any

from penumbra.report.content import Block, Results, Section
from penumbra.report.format import Table, count, percent

LOSSES = {"energy": "energy uncertainty", "uniform": "outliers to uniform"}  # in words; another is called by its name


def section(results: Results) -> Section:
    """What each detector was trained on, and how."""
    table = results.tables["detectors"]
    rows = [
        [
            row.detector,
            row.recipe,
            row.bands or ("–" if _zero_shot(results, row.recipe) else "ID only"),
            count(row.outliers),
            percent(row.id_acc_mean, row.id_acc_std),
        ]
        for row in table.assign(bands=table.bands.astype(object).fillna("")).itertuples()
    ]
    used = {name: results.params.train.recipes[name] for name in table.recipe.unique()}
    recipes = "; ".join(f"{name}: {_recipe(recipe)}" for name, recipe in used.items())
    caption = f"Seeds {', '.join(map(str, results.params.train.seeds))}. Recipes: {recipes}."
    header = ["detector", "recipe", "bands", "outliers", "ID accuracy, %"]
    return Section("train", "The detectors", [Block(caption, table=Table(header, rows))])


def _zero_shot(results: Results, recipe: str) -> bool:
    """Whether a recipe trains nothing."""
    setting = results.params.train.recipes[recipe]
    return setting.loss == "clip" and not (setting.project or setting.tune)


def _recipe(recipe: Any) -> str:
    if recipe.loss == "clip":
        return _clip_recipe(recipe)
    more = (
        f" + {recipe.information_weight:g} × {recipe.information} between pairs" if getattr(recipe, "information", "none") != "none" else ""
    )
    return (
        f"{recipe.architecture} of width {recipe.width}, {recipe.epochs} epochs, batches of {recipe.batch_size}, "
        f"cross-entropy + {recipe.beta:g} × {LOSSES.get(recipe.loss, recipe.loss)}{more}"
    )


def _clip_recipe(recipe: Any) -> str:
    parts = [f"a projection ({recipe.project_epochs} epochs)"] if recipe.project else []
    parts += [f"negative labels ({recipe.tune_epochs} epochs, {recipe.strategy})"] if recipe.tune else []
    return f"frozen CLIP, trained: {' and '.join(parts) or 'nothing'}, negative labels in {recipe.groups} groups"
