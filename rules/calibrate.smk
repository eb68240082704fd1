rule calibrate:
    input:
        data=dag.data("calibrate"),
        code=dag.code("calibrate"),
    output:
        *dag.outputs("calibrate"),
    log:
        "logs/calibrate/{item}.log",
    benchmark:
        ".penumbra/benchmarks/calibrate/{item}.tsv"
    threads: 1
    resources:
        gpu=1,
        mem_mb=2000,
        runtime=60,
    params:
        declared=dag.declared("calibrate"),
    shell:
        "penumbra calibrate {wildcards.item} 2>&1 | tee {log}"
