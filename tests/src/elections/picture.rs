//! The pictures: SVG, as Figure 16 has them, on a white ground of their own so that they can be read on a dark page.

use std::error::Error;
use std::io;
use std::ops::Range;

use plotters::coord::combinators::BindKeyPoints;
use plotters::prelude::*;

use super::summary::Summary;
use super::trial::CAP;

const SIZE: (u32, u32) = (800, 480);
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

/// The trials of each line against the time that they took, which is cut off at the ends of `range_ms`.
pub(super) fn draw(title: &str, range_ms: Range<f64>, lines: &[(String, &Summary)]) -> io::Result<String> {
    let mut svg = String::new();
    // What the drawing library has to say is of no use to a user; nothing here depends on the outside.
    draw_onto(&mut svg, title, range_ms, lines).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(svg)
}

fn draw_onto(
    svg: &mut String,
    title: &str,
    range_ms: Range<f64>,
    lines: &[(String, &Summary)],
) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let decades = [10.0, 100.0, 1_000.0, 10_000.0];
    let between = decades.into_iter().flat_map(|decade| (2..10).map(move |n| f64::from(n) * decade));
    let seen = |ticks: Vec<f64>| {
        ticks.into_iter().filter(|ms| *ms >= range_ms.start && *ms <= range_ms.end).collect::<Vec<_>>()
    };
    let (decades, between) = (seen(decades.to_vec()), seen(between.collect()));
    let mut plot = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 20).into_font().color(&BLACK))
        .margin(14)
        .x_label_area_size(48)
        .y_label_area_size(64)
        .build_cartesian_2d(
            range_ms.clone().log_scale().with_key_points(decades).with_light_points(between),
            0.0..100.0,
        )?;
    plot.configure_mesh()
        .x_desc("milliseconds without a leader")
        .y_desc("percent of trials")
        .y_max_light_lines(1)
        .x_label_formatter(&|ms| format!("{ms:.0}"))
        .y_label_formatter(&|percent| format!("{percent:.0} %"))
        .label_style(("sans-serif", 15).into_font().color(&GREY))
        .axis_desc_style(("sans-serif", 16).into_font().color(&BLACK))
        .axis_style(GREY)
        .bold_line_style(BLACK.mix(0.2))
        .light_line_style(BLACK.mix(0.06))
        .draw()?;

    for ((label, summary), colour) in lines.iter().zip(COLOURS.into_iter().cycle()) {
        let style = colour.stroke_width(2);
        plot.draw_series(LineSeries::new(curve(summary, &range_ms), style))?
            .label(if summary.elected() == 0 {
                format!("{label}: nobody in {} s", CAP.as_secs())
            } else {
                label.clone()
            })
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 24, y)], style));
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

/// As many points as can be seen, from edge to edge.
fn curve(summary: &Summary, range_ms: &Range<f64>) -> Vec<(f64, f64)> {
    let step = (summary.trials() / 200).max(1);
    let seen: Vec<(f64, f64)> = summary.cumulative().take_while(|(ms, _)| *ms <= range_ms.end).collect();
    let first = (seen.first().map_or(range_ms.end, |(ms, _)| *ms), 0.0);
    let last = seen.last().copied().unwrap_or(first);
    let chosen = seen.iter().copied().step_by(step);
    [(range_ms.start, 0.0), first].into_iter().chain(chosen).chain([last, (range_ms.end, last.1)]).collect()
}
