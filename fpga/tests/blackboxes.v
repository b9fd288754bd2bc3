// What the tops instantiate and do not have: ports only, for lint. Primitives of the parts, AMD's block as
// `build.tcl` makes it, and the open core.
module IBUFDS_GTE2 (output O, output ODIV2, input CEB, input I, input IB);
endmodule
module IBUF (output O, input I);
endmodule
module EHXPLLL #(
    parameter PLLRST_ENA = "", INTFB_WAKE = "", STDBY_ENABLE = "", DPHASE_SOURCE = "", OUTDIVIDER_MUXA = "",
    parameter FEEDBK_PATH = "", CLKOP_ENABLE = "", CLKOS_ENABLE = "",
    parameter CLKI_DIV = 1, CLKFB_DIV = 1, CLKOP_DIV = 1, CLKOP_CPHASE = 0, CLKOP_FPHASE = 0,
    parameter CLKOS_DIV = 1, CLKOS_CPHASE = 0, CLKOS_FPHASE = 0
) (
    input CLKI, CLKFB, RST, STDBY, PHASESEL0, PHASESEL1, PHASEDIR, PHASESTEP, PHASELOADREG, PLLWAKESYNC, ENCLKOP,
    output CLKOP, CLKOS, LOCK
);
endmodule
module pcie_7x_0 (
    input sys_clk, sys_rst_n, input [3:0] pci_exp_rxp, pci_exp_rxn, output [3:0] pci_exp_txp, pci_exp_txn,
    output user_clk_out, user_reset_out, user_lnk_up,
    output m_axis_rx_tvalid, input m_axis_rx_tready, output [127:0] m_axis_rx_tdata, output [21:0] m_axis_rx_tuser,
    input s_axis_tx_tvalid, output s_axis_tx_tready, input [127:0] s_axis_tx_tdata, input [15:0] s_axis_tx_tkeep,
    input s_axis_tx_tlast, input [3:0] s_axis_tx_tuser,
    input tx_cfg_gnt, rx_np_ok, rx_np_req, cfg_trn_pending, cfg_pm_halt_aspm_l0s, cfg_pm_halt_aspm_l1,
    input cfg_pm_force_state_en, input [1:0] cfg_pm_force_state, input cfg_pm_wake, input [63:0] cfg_dsn,
    input cfg_turnoff_ok, output cfg_to_turnoff, output [15:0] cfg_command, cfg_dcommand,
    output [7:0] cfg_bus_number, output [4:0] cfg_device_number, output [2:0] cfg_function_number,
    output cfg_received_func_lvl_rst, input cfg_interrupt, cfg_interrupt_assert, input [7:0] cfg_interrupt_di,
    input cfg_interrupt_stat, input [4:0] cfg_pciecap_interrupt_msgnum,
    output cfg_interrupt_msixenable, cfg_interrupt_msixfm
);
endmodule
module pcie_7x #(
    parameter CFG_VEND_ID = 0, CFG_DEV_ID = 0, CFG_REV_ID = 0, CFG_SUBSYS_VEND_ID = 0, CFG_SUBSYS_ID = 0,
    parameter CLASS_CODE = 0, BAR0 = 0, BAR2 = 0, CMD_INTX_IMPLEMENTED = "", INTERRUPT_PIN = 0, MSI_CAP_ON = "",
    parameter PM_CAP_NEXTPTR = 0, PCIE_CAP_NEXTPTR = 0, MSIX_CAP_ON = "", MSIX_CAP_TABLE_BIR = 0,
    parameter MSIX_CAP_TABLE_OFFSET = 0, MSIX_CAP_PBA_BIR = 0, MSIX_CAP_PBA_OFFSET = 0, MSIX_CAP_TABLE_SIZE = 0,
    parameter DEV_CAP_FUNCTION_LEVEL_RESET_CAPABLE = "", LINK_CAP_MAX_LINK_SPEED = 0,
    parameter LINK_CTRL2_TARGET_LINK_SPEED = 0, LINK_STATUS_SLOT_CLOCK_CONFIG = "", USER_CLK_FREQ = 0
) (
    input sys_clk, sys_rst_n, pci_exp_rxp, pci_exp_rxn, output pci_exp_txp, pci_exp_txn, input pipe_mmcm_rst_n,
    output user_clk_out, user_reset_out, user_lnk_up,
    output m_axis_rx_tvalid, input m_axis_rx_tready, output [63:0] m_axis_rx_tdata, output [7:0] m_axis_rx_tkeep,
    output m_axis_rx_tlast, output [21:0] m_axis_rx_tuser,
    input s_axis_tx_tvalid, output s_axis_tx_tready, input [63:0] s_axis_tx_tdata, input [7:0] s_axis_tx_tkeep,
    input s_axis_tx_tlast, input [3:0] s_axis_tx_tuser,
    input tx_cfg_gnt, rx_np_ok, rx_np_req, cfg_trn_pending, cfg_pm_halt_aspm_l0s, cfg_pm_halt_aspm_l1,
    input cfg_pm_force_state_en, input [1:0] cfg_pm_force_state, input cfg_pm_wake, input [63:0] cfg_dsn,
    input cfg_turnoff_ok, output cfg_to_turnoff, output [15:0] cfg_command, cfg_dcommand,
    output [7:0] cfg_bus_number, output [4:0] cfg_device_number, output [2:0] cfg_function_number,
    output cfg_received_func_lvl_rst, input cfg_interrupt, cfg_interrupt_assert, input [7:0] cfg_interrupt_di,
    input cfg_interrupt_stat, input [4:0] cfg_pciecap_interrupt_msgnum,
    output cfg_interrupt_msixenable, cfg_interrupt_msixfm
);
endmodule
module IBUFDS (output O, input I, IB);
endmodule
module BUFG (output O, input I);
  assign O = I;
endmodule
module PLLE2_ADV #(
    parameter CLKIN1_PERIOD = 0.0, DIVCLK_DIVIDE = 1, CLKFBOUT_MULT = 5, CLKOUT0_DIVIDE = 1, CLKOUT1_DIVIDE = 1, COMPENSATION = ""
) (
    input CLKIN1, CLKIN2, CLKINSEL, CLKFBIN, RST, PWRDWN, DCLK, DEN, DWE, input [6:0] DADDR, input [15:0] DI,
    output CLKFBOUT, CLKOUT0, CLKOUT1, LOCKED
);
endmodule
