"""The daemon that runs attempts on one machine. Providers and the runtime are narrow protocols in
`protocols`.
"""
