# One rule for the benchmark and the report of dvc.yaml each, and one for each further item: their outputs differ
for step in ("benchmark", "report"):
    for item in [None, *dag.items(step)]:

        rule:
            name:
                f"{step}_{item}" if item else step
            input:
                data=dag.data(step, item),
                code=dag.code(step, item),
            output:
                [
                    path if "." in path else directory(path)
                    for path in dag.entry(step, item).outputs
                ],
            log:
                f"logs/{step}/{item}.log" if item else f"logs/{step}.log",
            benchmark:
                f".penumbra/benchmarks/{step}/{item}.tsv"
                if item
                else f".penumbra/benchmarks/{step}.tsv"
            threads: 1
            resources:
                mem_mb=2000,
                runtime=60,
            params:
                declared=dag.declared(step, item),
                command=" ".join([step, *([item] if item else [])]),
            shell:
                "penumbra {params.command} 2>&1 | tee {log}"
