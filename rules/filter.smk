rule filter:
    input:
        data=dag.data("filter"),
        code=dag.code("filter"),
    output:
        *dag.outputs("filter"),
    log:
        "logs/filter/{item}.log",
    benchmark:
        ".penumbra/benchmarks/filter/{item}.tsv"
    threads: 1
    resources:
        gpu=1,
        mem_mb=2000,
        runtime=120,
    params:
        declared=dag.declared("filter"),
    shell:
        "penumbra filter {wildcards.item} 2>&1 | tee {log}"
