rule report:
    input:
        data=dag.data("report"),
        code=dag.code("report"),
    output:
        [
            directory(path) if path.endswith("figures") else path
            for path in dag.outputs("report")
        ],
    log:
        "logs/report.log",
    benchmark:
        ".penumbra/benchmarks/report.tsv"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        declared=dag.declared("report"),
    shell:
        "penumbra report 2>&1 | tee {log}"
