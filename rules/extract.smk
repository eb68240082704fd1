# One rule for each item: their outputs are files of different kinds
for item in dag.items("extract"):

    rule:
        name:
            f"extract_{item}"
        input:
            data=dag.data("extract", item),
            code=dag.code("extract", item),
        output:
            *dag.entry("extract", item).outputs,
        log:
            f"logs/extract/{item}.log",
        benchmark:
            f".penumbra/benchmarks/extract/{item}.tsv"
        threads: 1
        resources:
            gpu=1,
            mem_mb=2000,
            runtime=240,
        params:
            declared=dag.declared("extract", item),
            item=item,
        shell:
            "penumbra extract {params.item} 2>&1 | tee {log}"
