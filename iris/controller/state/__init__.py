"""Pure: events in, changed records and orders for workers out.

Knows no clock, chance, files, tasks of asyncio or gRPC.
"""
