"""The ground floor, which all other modules import first: so here the threads of torch are told how to wait."""

from cudfkd.base.waiting import wait_shortly

wait_shortly()
