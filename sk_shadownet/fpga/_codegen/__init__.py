"""From a fixed-point plan to sources: hls4ml's, Verilog and VHDL, and their estimates."""
