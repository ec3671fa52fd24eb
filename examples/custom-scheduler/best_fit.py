#!/usr/bin/env python3
"""A custom scheduler for ecsim: best fit by the scarcer resource, longest-waiting task first.

ecsim writes one request a line to standard input; each is answered by one line `{"decisions": [...]}`. A request holds
the container instances that have changed since the last one (all of them when `full`), the ids of those that are gone,
and every task that waits. A task that no decision names goes on waiting and is sent again when room appears.

A decision is one of
    {"action": "StartTask", "task": ID, "containerInstance": ID}
    {"action": "StopTask",  "task": ID, "reason": TEXT}
    {"action": "Refuse",    "task": ID, "reason": TEXT}

Only the standard library is needed: `python3 best_fit.py`.
"""

import json
import sys

RESOURCES = ("cpu", "memory", "gpus", "enis")


def allows(instance, task):
    """Whether ECS would consider the instance for the task at all."""
    provider = task.get("capacityProvider")
    zones = task.get("availabilityZones")
    return (
        instance["status"] == "ACTIVE"
        and instance["agentConnected"]
        and (provider is None or instance.get("capacityProvider") == provider)
        and (not zones or instance["availabilityZone"] in zones)
    )


def share_left(instance, needs):
    """What would be left of the scarcer resource, as a share of the instance; None when the task does not fit."""
    remaining, registered = instance["remainingResources"], instance["registeredResources"]
    if any(remaining[name] < needs[name] for name in RESOURCES):
        return None
    return min((remaining[name] - needs[name]) / max(registered[name], 1) for name in ("cpu", "memory"))


def place(task, instances):
    """The fullest instance that takes the task, the lowest id among equals."""
    needs = task["requires"]
    fits = []
    for name, instance in instances.items():
        left = share_left(instance, needs) if allows(instance, task) else None
        if left is not None:
            fits.append((left, name))
    if not fits:
        return None
    _, name = min(fits)
    for resource in RESOURCES:
        instances[name]["remainingResources"][resource] -= needs[resource]
    return name


def largest(task):
    """Large tasks first: what is small still finds a gap afterwards."""
    return (-max(task["requires"]["cpu"] / 1024, task["requires"]["memory"] / 4096), -task["waitedS"], task["task"])


def main():
    instances = {}
    for line in sys.stdin:
        request = json.loads(line)
        if request["full"]:
            instances = {}
        for name in request["deregistered"]:
            instances.pop(name, None)
        for instance in request["containerInstances"]:
            instances[instance["containerInstance"]] = instance
        decisions = []
        for task in sorted(request["pending"], key=largest):
            name = place(task, instances)
            if name is not None:
                decisions.append({"action": "StartTask", "task": task["task"], "containerInstance": name})
        print(json.dumps({"decisions": decisions}), flush=True)


if __name__ == "__main__":
    main()
