# One rule for the benchmark of dvc.yaml, and one for each further item: their outputs differ
for item in [None, *dag.items("benchmark")]:

    rule:
        name:
            f"benchmark_{item}" if item else "benchmark"
        input:
            data=dag.data("benchmark", item),
            code=dag.code("benchmark", item),
        output:
            [
                path if "." in path else directory(path)
                for path in dag.entry("benchmark", item).outputs
            ],
        log:
            f"logs/benchmark/{item}.log" if item else "logs/benchmark.log",
        benchmark:
            (
                f".penumbra/benchmarks/benchmark/{item}.tsv"
                if item
                else ".penumbra/benchmarks/benchmark.tsv"
            )
        threads: 1
        resources:
            mem_mb=2000,
            runtime=60,
        params:
            declared=dag.declared("benchmark", item),
            item=item or "",
        shell:
            "penumbra benchmark {params.item} 2>&1 | tee {log}"
