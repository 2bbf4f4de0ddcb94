"""The picture of a plan: waiting by class, slots in use and the backlog over time, today beside what if."""
