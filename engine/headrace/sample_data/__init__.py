"""Real and generated sample data: the flights of New York in 2013, the Criteo shape, the taxi shape.

Each writer is one function in a module of its own, so that asking for one does not load the others::

    from headrace.sample_data.flights import write_flights

What the files hold, column by column, is in docs/data.md.
"""
