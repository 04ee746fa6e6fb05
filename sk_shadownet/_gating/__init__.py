"""The method's core: gates, importance scores, schedules, and what moves the gates while a network trains."""
