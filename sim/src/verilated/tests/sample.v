// One design with every kind of port that the interface knows: 1 to 300 bits, signed and unsigned, registered and
// combinational, and a memory.
module sample (
    input  wire               clk,
    input  wire               reset,
    input  wire               enable,
    output reg  [31:0]        count,
    input  wire signed [7:0]  a,
    input  wire signed [15:0] b,
    output reg  signed [39:0] sum,
    input  wire [299:0]       wide_in,
    output reg  [299:0]       wide_out,
    input  wire               write,
    input  wire [3:0]         address,
    input  wire [36:0]        write_data,
    output reg  [36:0]        read_data,
    output wire               parity
);
    reg [36:0] memory [0:15];
    wire signed [23:0] product = a * b;

    assign parity = ^a;

    always @(posedge clk) begin
        if (reset) begin
            count <= 32'd0;
            sum <= 40'sd0;
            wide_out <= 300'd0;
        end else begin
            if (enable) count <= count + 32'd1;
            sum <= sum + {{16{product[23]}}, product};
            wide_out <= {wide_in[0], wide_in[299:1]};
        end
        if (write) memory[address] <= write_data;
        read_data <= memory[address];
    end
endmodule
