# SQRL Acorn CLE-215, CLE-215+, NiteFury without PCIe. The pins are those that LiteX-Boards has. Only what nextpnr reads:
# set_property of one port, create_clock.
set_property PACKAGE_PIN J19 [get_ports clock_in_p]
set_property IOSTANDARD DIFF_SSTL15 [get_ports clock_in_p]
set_property PACKAGE_PIN H19 [get_ports clock_in_n]
set_property IOSTANDARD DIFF_SSTL15 [get_ports clock_in_n]
create_clock -period 5.000 [get_ports clock_in_p]

# The serial adapter on connector P2.
set_property PACKAGE_PIN J2 [get_ports serial_in]
set_property IOSTANDARD LVCMOS33 [get_ports serial_in]
set_property PULLTYPE PULLUP [get_ports serial_in]
set_property PACKAGE_PIN K2 [get_ports serial_out]
set_property IOSTANDARD LVCMOS33 [get_ports serial_out]

# LEDs; on while low.
set_property PACKAGE_PIN G3 [get_ports {lights[0]}]
set_property IOSTANDARD LVCMOS33 [get_ports {lights[0]}]
set_property PACKAGE_PIN H3 [get_ports {lights[1]}]
set_property IOSTANDARD LVCMOS33 [get_ports {lights[1]}]
set_property PACKAGE_PIN G4 [get_ports {lights[2]}]
set_property IOSTANDARD LVCMOS33 [get_ports {lights[2]}]
set_property PACKAGE_PIN H4 [get_ports {lights[3]}]
set_property IOSTANDARD LVCMOS33 [get_ports {lights[3]}]
