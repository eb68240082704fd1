# One rule for each model: models read one another, and `penumbra run` allows Snakemake only the rules of its own stages.
for model in dag.items("pretrain"):

    rule:
        name:
            f"pretrain_{model}"
        input:
            data=dag.data("pretrain", model),
            code=dag.code("pretrain", model),
        output:
            directory(dag.entry("pretrain", model).outputs),
        log:
            f"logs/pretrain/{model}.log",
        benchmark:
            f".penumbra/benchmarks/pretrain/{model}.tsv"
        priority: 2 if model == "diffusion" else 1  # most other stages stand on the models
        threads: 2 if model == "diffusion" else 1  # as its `main` sets up torch
        resources:
            gpu=1,
            mem_mb=4000,
            runtime=1440,
        params:
            declared=dag.declared("pretrain", model),
            model=model,
        shell:
            "penumbra pretrain {params.model} 2>&1 | tee {log}"
