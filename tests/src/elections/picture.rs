//! The pictures: SVG, as Figure 16 has them, on a white ground of their own so that they can be read on a dark page.

use std::error::Error;
use std::io;

use plotters::coord::combinators::BindKeyPoints;
use plotters::element::DashedPathElement;
use plotters::prelude::*;

use super::line::{Graph, Line, Variant};
use super::summary::Summary;

const SIZE: (u32, u32) = (800, 480);
const DASH: i32 = 5;
const GREY: RGBColor = RGBColor(90, 90, 90);

/// Told apart by everybody, also in print (Okabe and Ito).
const COLOURS: [RGBColor; 6] = [
    RGBColor(213, 94, 0),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(86, 180, 233),
    RGBColor(0, 114, 178),
    RGBColor(204, 121, 167),
];

/// The lines of a graph: by the paper's rules, and dashed as the core elects.
pub(super) fn draw(graph: Graph, measured: &[(Line, Summary)]) -> io::Result<String> {
    let mut svg = String::new();
    // What the drawing library has to say is of no use to a user; nothing here depends on the outside.
    draw_onto(&mut svg, graph, measured).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(svg)
}

fn draw_onto(svg: &mut String, graph: Graph, measured: &[(Line, Summary)]) -> Result<(), Box<dyn Error>> {
    let (title, from_ms, to_ms) = match graph {
        Graph::Randomness => ("How random election timeouts are", 60.0, 30_000.0),
        Graph::Timeouts => ("How long election timeouts are", 10.0, 1_000.0),
    };
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let decades: Vec<f64> = [10.0, 100.0, 1_000.0, 10_000.0].into_iter().filter(|ms| (from_ms..=to_ms).contains(ms)).collect();
    let between = [10.0, 100.0, 1_000.0, 10_000.0].into_iter().flat_map(|ms| (2..10).map(move |n| f64::from(n) * ms));
    let between = between.filter(|ms| (from_ms..=to_ms).contains(ms)).collect();
    let mut plot = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 20).into_font().color(&BLACK))
        .margin(14)
        .x_label_area_size(48)
        .y_label_area_size(64)
        .build_cartesian_2d(
            (from_ms..to_ms).log_scale().with_key_points(decades).with_light_points::<Vec<f64>>(between),
            0.0..100.0,
        )?;
    plot.configure_mesh()
        .x_desc("milliseconds without a leader")
        .y_desc("percent of trials")
        .x_label_formatter(&|ms| format!("{ms:.0}"))
        .y_label_formatter(&|percent| format!("{percent:.0} %"))
        .label_style(("sans-serif", 15).into_font().color(&GREY))
        .axis_desc_style(("sans-serif", 16).into_font().color(&BLACK))
        .axis_style(GREY)
        .bold_line_style(BLACK.mix(0.2))
        .light_line_style(BLACK.mix(0.06))
        .draw()?;

    for (timeouts_ms, colour) in graph.timeouts_ms().iter().zip(COLOURS) {
        for (line, summary) in measured.iter().filter(|(line, _)| line.timeouts_ms == *timeouts_ms) {
            let style = colour.stroke_width(2);
            let points = || curve(summary, to_ms).into_iter();
            match line.variant {
                Variant::Paper => {
                    plot.draw_series(LineSeries::new(points(), style))?
                        .label(line.to_string())
                        .legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], style));
                }
                Variant::PreVote => {
                    plot.draw_series(DashedLineSeries::new(points(), DASH, DASH, style))?
                        .label(format!("{line}, pre-vote"))
                        .legend(move |(x, y)| DashedPathElement::new([(x, y), (x + 24, y)], DASH, DASH, style));
                }
                Variant::Priority | Variant::HungUp => {}
            }
        }
    }
    plot.configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .legend_area_size(32)
        .margin(8)
        .label_font(("sans-serif", 14).into_font().color(&BLACK))
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.2))
        .draw()?;
    root.present()?;
    Ok(())
}

/// As many points as can be seen, within the picture; the last line goes on to its edge.
fn curve(summary: &Summary, to_ms: f64) -> Vec<(f64, f64)> {
    let step = (summary.trials() / 200).max(1);
    let seen: Vec<(f64, f64)> = summary.cumulative().take_while(|(ms, _)| *ms <= to_ms).collect();
    let first = seen.first().map_or((to_ms, 0.0), |(ms, _)| (*ms, 0.0));
    let last = seen.last().copied().unwrap_or(first);
    let chosen = seen.iter().copied().step_by(step);
    [first].into_iter().chain(chosen).chain([last, (to_ms, last.1)]).collect()
}
