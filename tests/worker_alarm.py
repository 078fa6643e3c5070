"""Imported by worker processes of a test: their alarm comes soon after the pool's own deadline."""

from gsp_network import worker_process

worker_process.ALARM_SECONDS = 0
