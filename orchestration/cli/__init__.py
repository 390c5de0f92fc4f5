"""The command line ``gridcrm``: one module a command, thin over what connectors and orchestration do.

Belongs here: arguments, exit codes, what a person reads in a terminal. Does not belong here: work that a job
or a sensor could want too; that lives in the package it concerns and is only called from here.
"""
