//! The formatter changes the look and nothing else.

use std::path::Path;

use rmt_lang::{MemoryLoader, format};

#[test]
fn spaces_and_indentation_are_set() {
    let text = "program  p ;
hook h=1{key pid:u64; a:i16 @16;}   // one


   // two
decision{r:u64;}
map   m : hash < u64 > [ 16 ] ;
table t{key={a:lpm};actions={f};entries{
0x1200/8:f();_:f();}}
action f(){
let x:i64=-5+event . a as i64; // first
let longer = [ 1,2 ,- 3 ] as i16;// second
if!(x<3)&&x>-1{out.r=min( 1 , 2 )<<(x as u8);}
else { out . r = if x==~1 { 1 }else{ m[ 3 ] };
}
for i in 0 .. 4{
let y = x+
x;
}
return ;
}
";
    let expected = "program p;
hook h = 1 { key pid: u64; a: i16 @ 16; } // one

// two
decision { r: u64; }
map m: hash<u64>[16];
table t { key = { a: lpm }; actions = { f }; entries {
    0x1200/8: f(); _: f(); } }
action f() {
    let x: i64 = -5 + event.a as i64; // first
    let longer = [1, 2, -3] as i16;   // second
    if !(x < 3) && x > -1 { out.r = min(1, 2) << (x as u8); }
    else { out.r = if x == ~1 { 1 } else { m[3] };
    }
    for i in 0..4 {
        let y = x +
            x;
    }
    return;
}
";
    assert_eq!(format("p.rmt", text).unwrap(), expected);
}

#[test]
fn a_text_with_mistakes_is_left_alone() {
    let error = format("p.rmt", "action f( {").unwrap_err();
    assert!(error.to_string().starts_with("p.rmt:1:11: expected"), "{error}");
}

#[test]
fn firmware_is_formatted_and_formatting_twice_changes_nothing() {
    let firmware = Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware");
    let mut seen = 0;
    for entry in std::fs::read_dir(firmware).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "rmt") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(format("firmware", &text).unwrap(), text, "{}", path.display());
        seen += 1;
    }
    assert!(seen >= 2);
}

#[test]
fn programs_mean_the_same_afterwards() {
    let text = "program p;hook h=1{key pid:u64;a:u64;}decision{r:u64;}map m:lru_hash<u32>[8];
table t{actions={f};default=f();}fn g(x:u64)->u64{return x*2-1;}
action f(){let mut x:u64=g(event.a)&~3;x-=1;m[x]=2;out.r=x>>1;}";
    let formatted = format("p.rmt", text).unwrap();
    let code = |text: &str| {
        let program = rmt_lang::compile("p.rmt", text, &MemoryLoader::default()).unwrap();
        program.actions[0].code.clone()
    };
    assert_eq!(code(text), code(&formatted), "{formatted}");
    assert_eq!(format("p.rmt", &formatted).unwrap(), formatted);
}
