"""The wire: channels, servers, the token, errors, and what turns values of the model into protos
and back.
"""
