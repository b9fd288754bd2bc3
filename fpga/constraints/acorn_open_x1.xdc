# SQRL Acorn CLE-215, CLE-215+, CLE-101, NiteFury, LiteFury. The pins are those that LiteX-Boards has.
set_property PACKAGE_PIN F6 [get_ports pcie_clock_p]
set_property PACKAGE_PIN E6 [get_ports pcie_clock_n]
create_clock -name pcie_clock -period 10.000 [get_ports pcie_clock_p]

set_property PACKAGE_PIN J1 [get_ports pcie_reset_n]
set_property IOSTANDARD LVCMOS33 [get_ports pcie_reset_n]
set_property PULLUP TRUE [get_ports pcie_reset_n]
set_false_path -from [get_ports pcie_reset_n]
set_property PACKAGE_PIN G1 [get_ports pcie_clkreq_n]
set_property IOSTANDARD LVCMOS33 [get_ports pcie_clkreq_n]

# LEDs; on while low.
set_property PACKAGE_PIN G3 [get_ports {lights[0]}]
set_property PACKAGE_PIN H3 [get_ports {lights[1]}]
set_property PACKAGE_PIN G4 [get_ports {lights[2]}]
set_property PACKAGE_PIN H4 [get_ports {lights[3]}]
set_property IOSTANDARD LVCMOS33 [get_ports {lights[*]}]
set_false_path -to [get_ports {lights[*]}]

# Lane 0 of the slot.
set_property PACKAGE_PIN B10 [get_ports pcie_rx_p]
set_property PACKAGE_PIN A10 [get_ports pcie_rx_n]
set_property PACKAGE_PIN B6 [get_ports pcie_tx_p]
set_property PACKAGE_PIN A6 [get_ports pcie_tx_n]

set_property BITSTREAM.GENERAL.COMPRESS TRUE [current_design]
set_property BITSTREAM.CONFIG.SPI_BUSWIDTH 4 [current_design]
set_property BITSTREAM.CONFIG.CONFIGRATE 16 [current_design]
set_property CFGBVS VCCO [current_design]
set_property CONFIG_VOLTAGE 3.3 [current_design]
