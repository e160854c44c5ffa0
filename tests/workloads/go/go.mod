module maptrace.example/workloads

go 1.19
