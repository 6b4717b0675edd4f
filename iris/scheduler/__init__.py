"""Pure: a snapshot of workers and pending work in, placements and structured reasons out.
`schedule` is the whole interface.
"""
