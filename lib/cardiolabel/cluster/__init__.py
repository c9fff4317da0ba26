"""The pipeline on many processes and machines, by Ray: the same masks and tables, whoever makes them.

A worker is a process of one core that holds the model. It is given a few whole patients at a time, runs
`infer_patients` on them, and answers with their studies; masks it writes itself. Images, weights and
output lie on a file system that all machines share, under the same paths.
"""
