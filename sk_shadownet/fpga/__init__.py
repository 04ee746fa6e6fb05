"""From a fitted network to verified hardware: fixed-point plans, hls4ml projects, HDL, estimates."""
