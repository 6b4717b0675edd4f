"""This machine and this process: clock, ids, files, processes, ports, and how much of the machine
may be used.
"""
