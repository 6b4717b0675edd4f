#!/bin/sh
exec python3 hello.py
