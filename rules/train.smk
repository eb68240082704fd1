detectors, recipes = dag.experiment.train.detectors, dag.experiment.recipes
for stage in dag.of_step("train"):
    shared = recipes[detectors[stage.item].recipe].learns_from == "images"
    many = int(config.get("processes", 1)) if shared else 1
    job(
        stage,
        threads=many,
        gpu=many,
        mem_mb=4000 * many,
        runtime=1440,
        parts=seeds,
        processes=many,
    )
