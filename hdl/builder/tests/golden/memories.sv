module memories (
    input  logic        clk,
    input  logic        write,
    input  logic [9:0]  address,
    input  logic [31:0] data,
    input  logic [3:0]  lanes,
    input  logic [9:0]  read_address,
    output logic [31:0] word,
    output logic [11:0] constant
);
  logic [31:0] buffer_data;
  logic [11:0] table_data;

  // Packet buffer
  logic [31:0] buffer [0:1023];
  logic [11:0] table_ [0:15];
  integer table__word;
  initial begin
    for (table__word = 12; table__word < 16; table__word = table__word + 1)
      table_[table__word] = 12'd0;
    table_[0] = 12'd0;
    table_[1] = 12'd1;
    table_[2] = 12'd4;
    table_[3] = 12'd9;
    table_[4] = 12'd16;
    table_[5] = 12'd25;
    table_[6] = 12'd36;
    table_[7] = 12'd49;
    table_[8] = 12'd64;
    table_[9] = 12'd81;
    table_[10] = 12'd100;
    table_[11] = 12'd121;
  end

  assign word = buffer_data;
  assign constant = table_data;

  always @(posedge clk) begin
    if (write) begin
      if (lanes[0]) buffer[address][7:0] <= data[7:0];
      if (lanes[1]) buffer[address][15:8] <= data[15:8];
      if (lanes[2]) buffer[address][23:16] <= data[23:16];
      if (lanes[3]) buffer[address][31:24] <= data[31:24];
    end
  end
  always @(posedge clk) begin
    if (!write) begin
      buffer_data <= buffer[read_address];
    end
  end
  assign table_data = table_[address[3:0]];
endmodule
