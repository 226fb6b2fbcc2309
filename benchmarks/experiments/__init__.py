"""What the layers do to training, measured: see `python -m benchmarks.experiments --help`.

    images ─ nets ─► training ─► sweep ─► a results file ─► claims ─► report, figures
                        │                                      │
                      shapes                               intervals            costs, apart
"""
